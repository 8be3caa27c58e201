//go:build unix

package outagetest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A SQLite file is taken away, brought back as one that may only be read, and then as it was. It binds root too if it is
// another user who works.
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
	permit(t, elsewhere, 0o444)
	p.do(fail, "unable to open database file")
	move(t, elsewhere, path)
	p.do(fail, "readonly")
	permit(t, path, 0o666)
	p.do(goOn, "")
	p.give(stop, "")
	prove(t, url, p.told())
}

func permit(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
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
	to, err := os.OpenFile(copied, os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // others are to run it
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
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
