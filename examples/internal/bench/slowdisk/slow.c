/* Preloaded into a process, it makes every fsync and fdatasync take a millisecond longer. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void delay(void) {
	struct timespec left = {0, 1000 * 1000};
	while (nanosleep(&left, &left) == -1 && errno == EINTR) {
	}
}

int fsync(int file) {
	delay();
	return syscall(SYS_fsync, file);
}

int fdatasync(int file) {
	delay();
	return syscall(SYS_fdatasync, file);
}
