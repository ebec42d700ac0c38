from cli.conftest import bundle, rootfs_template

__all__ = ["bundle", "rootfs_template"]
