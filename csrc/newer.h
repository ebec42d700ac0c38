/* Constants that kernels have and Debian 12's headers do not yet; each with the kernel that brought it. */
#ifndef PYRUNC_NEWER_H
#define PYRUNC_NEWER_H

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3, memfd_create(2) */
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19, seccomp(2) */
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000 /* Linux 5.14, mount_setattr(2) */
#endif
#ifndef MPOL_WEIGHTED_INTERLEAVE
#define MPOL_WEIGHTED_INTERLEAVE 6 /* Linux 6.9, set_mempolicy(2) */
#endif

/* umount2(2): these stand in <sys/mount.h>, which cannot be included together with <linux/mount.h> */
#ifndef MNT_DETACH
#define MNT_DETACH 2
#endif
#ifndef UMOUNT_NOFOLLOW
#define UMOUNT_NOFOLLOW 8
#endif

#endif
