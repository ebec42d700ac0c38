/* Making an image instead of running a command. */
#ifndef PYRUNC_REHEARSE_H
#define PYRUNC_REHEARSE_H

/* Returns if that is not what these arguments ask for, or if this executable has its image. */
void make_image(int count, char **arguments);

#endif
