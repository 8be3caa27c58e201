//go:build unix

package pgtest

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

//go:embed keeper.sh
var script string

// A keeper is the shell process that owns one server. It is told what to do through a pipe, whose end it sees even if
// this process is killed: so no server outlives the process that asked for it.
type keeper struct {
	dir     string
	owner   *syscall.Credential // nil: this process's user
	shell   *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

func newKeeper(password string) (*keeper, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(owner, password)
	if err != nil {
		return nil, err
	}
	k := &keeper{dir: dir, owner: owner, shell: exec.Command("/bin/sh", filepath.Join(dir, "keeper.sh"), bin, dir)}
	if err := k.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return k, nil
}

func (k *keeper) start() error {
	k.shell.Dir = k.dir
	k.shell.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	// In a session of its own it gets no Ctrl-C, so that it stays to clean up.
	k.shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: k.owner}
	orders, err := k.shell.StdinPipe()
	if err != nil {
		return err
	}
	answers, err := k.shell.StdoutPipe()
	if err != nil {
		return err
	}
	k.orders, k.answers = orders, bufio.NewReader(answers)
	return k.shell.Start()
}

func (k *keeper) do(order string) error {
	if _, err := fmt.Fprintln(k.orders, order); err != nil {
		return fmt.Errorf("tell the Postgres for tests to %s: %w", order, err)
	}
	answer, err := k.answers.ReadString('\n')
	if err == nil && answer == "ok\n" {
		return nil
	}
	log, readErr := os.ReadFile(filepath.Join(k.dir, "log"))
	return errors.Join(fmt.Errorf("the Postgres for tests could not %s; its log:\n%s", order, log), err, readErr)
}

func (k *keeper) close() error {
	return errors.Join(k.orders.Close(), k.shell.Wait())
}

func (k *keeper) makeDir(name string) (string, error) {
	dir := filepath.Join(k.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, give(dir, k.owner)
}

// makeFile makes a file in the server's folder, which only the server may read.
func (k *keeper) makeFile(name, content string) (path string, err error) {
	path = filepath.Join(k.dir, name)
	return path, writeFile(path, content, k.owner)
}

// makeDir makes the folder of a server, with the keeper's script and the superuser's password in it. It is not t.TempDir:
// the parent of that can't be entered by another user.
func makeDir(owner *syscall.Credential, password string) (string, error) {
	parent := os.TempDir()
	if owner != nil && !open(parent) {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "purser-postgres-")
	if err != nil {
		return "", err
	}
	err = errors.Join(
		writeFile(filepath.Join(dir, "keeper.sh"), script, owner),
		writeFile(filepath.Join(dir, "password"), password, owner),
		give(dir, owner))
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

func writeFile(path, content string, owner *syscall.Credential) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return give(path, owner)
}

func give(path string, owner *syscall.Credential) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}

// open reports whether every user may enter dir.
func open(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// serverUser returns whom to run the server as, because Postgres refuses to run as root: nil is the user of this process.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user to run the server as instead of root: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
