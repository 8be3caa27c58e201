//go:build unix

package outagetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A SQLite file is taken away, one that may only be read comes in its place, and then that may be written to. It binds root
// too, since it is another user who works.
func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "purser") // not t.TempDir, whose parent another user can't enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path, elsewhere := filepath.Join(dir, "purser.db"), filepath.Join(dir, "elsewhere.db")
	url := "sqlite:" + path
	makeBudgets(t, opened(t, url))
	anybody := asAnybody(t, dir)
	p := start(t, anybody, url, "anybody")
	p.do(goOn, "")
	move(t, path, elsewhere)
	p.do(fail, "unable to open database file")
	p.do(fail, "unable to open database file")
	// Not the same file, to which SQLite may have kept a way.
	put(t, elsewhere+"-wal", path+"-wal", 0o666)
	put(t, elsewhere, path, 0o444)
	p.do(fail, "readonly")
	// What SQLite made beside it meanwhile is as the file was, and a connection that reads keeps its way to that: so a file
	// that may be written takes the place of the one that may not.
	if err := os.Chmod(path+"-shm", 0o666); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	put(t, elsewhere, path, 0o666)
	p.do(goOn, "")
	p.give(stop, "")
	prove(t, url, p.told())
}

// put copies a file, and gives it to whom asAnybody gives files.
func put(t *testing.T, from, to string, mode os.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	temporary := to + ".new"
	err = errors.Join(os.WriteFile(temporary, content, mode), os.Chmod(temporary, mode))
	if os.Getuid() == 0 {
		err = errors.Join(err, os.Chown(temporary, nobody, nobody))
	}
	if err := errors.Join(err, os.Rename(temporary, to)); err != nil {
		t.Fatal(err)
	}
}

// asAnybody returns a command that runs this test's program, as root for a user who has no rights but to a folder.
func asAnybody(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		return program()
	}
	copied := filepath.Join(dir, "program")
	put(t, os.Args[0], copied, 0o755)
	for _, file := range append(filesOf(filepath.Join(dir, "purser.db")), dir) {
		if err := os.Chown(file, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(copied)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

const nobody = 65534
