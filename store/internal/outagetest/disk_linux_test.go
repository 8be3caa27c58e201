package outagetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A disk is a small file system of its own.
type disk struct {
	*testing.T
	dir string
}

// mountDisk mounts a disk of so many MiB on dir, whose owner keeps it. It returns nil where that is not permitted: to
// others than root, and in most containers.
func mountDisk(t *testing.T, dir string, mebibytes int) *disk {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("nobody owns %s", dir)
	}
	options := fmt.Sprintf("size=%dm,mode=0700,uid=%d,gid=%d", mebibytes, owner.Uid, owner.Gid)
	switch err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return nil
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A server may still have files open in it.
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &disk{t, dir}
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// fill leaves no room on the disk.
func (d *disk) fill() {
	file, err := os.Create(d.ballast())
	if err != nil {
		d.Fatal(err)
	}
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.Fatal(err)
	}
}

// free makes room again.
func (d *disk) free() {
	if err := os.Remove(d.ballast()); err != nil {
		d.Fatal(err)
	}
}
