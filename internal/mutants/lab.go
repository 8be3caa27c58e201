package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A lab is a copy of the working tree, to be broken and mended.
type lab struct {
	tree string
	good map[string]error // by package and test: what is wrong with the test before anything is broken
}

// newLab copies what is or could be committed in root to tree.
func newLab(root, tree string) (*lab, error) {
	out, err := output(exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		err := copyFile(filepath.Join(root, name), filepath.Join(tree, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // still known to git, but deleted
			return nil, err
		}
	}
	return &lab{tree: tree, good: map[string]error{}}, nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// kill returns nil if the mutant's test passes as the code is, and fails once the mutant's patch is applied.
func (l *lab) kill(m mutant) error {
	if err := l.baseline(m); err != nil {
		return err
	}
	if err := l.apply(m.patch); err != nil {
		return err
	}
	result, err := l.test(m)
	if mend := l.apply(m.patch, "--reverse"); mend != nil {
		return mend
	}
	switch {
	case err == nil:
		return errors.New("survived")
	case result.started == 0:
		return fmt.Errorf("no test ran, does it compile?\n%w", err)
	}
	return nil
}

// baseline checks that the mutant's test exists and passes. Several mutants may share a test: it runs once.
func (l *lab) baseline(m mutant) error {
	key := m.pkg + " " + m.test
	err, known := l.good[key]
	if known {
		return err
	}
	result, err := l.test(m)
	switch {
	case err != nil:
		err = fmt.Errorf("the test fails without the mutant\n%w", err)
	case result.passed == 0:
		err = errors.New("there is no such test, or it was skipped")
	}
	l.good[key] = err
	return err
}

// apply changes the tree by a patch.
func (l *lab) apply(patch string, flags ...string) error {
	cmd := exec.Command("git", append([]string{"apply", "--whitespace=nowarn", patch}, flags...)...)
	cmd.Dir = l.tree
	// Inside of another repository git would leave out, silently, what is not its own.
	cmd.Env = append(cmd.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(l.tree))
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("the patch does not apply\n%w", err)
	}
	return nil
}

// A result counts tests, subtests included.
type result struct{ started, passed int }

// test runs the mutant's test. The error is that of go test, with its output.
func (l *lab) test(m mutant) (result, error) {
	cmd := exec.Command("go", "test", "-json", "-count=1", "-run", m.test, m.pkg)
	cmd.Dir = l.tree
	out, err := output(cmd)
	var r result
	var text strings.Builder
	for line := range strings.Lines(out) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal([]byte(line), &e) != nil {
			e.Output = line
		}
		switch {
		case e.Test != "" && e.Action == "run":
			r.started++
		case e.Test != "" && e.Action == "pass":
			r.passed++
		}
		text.WriteString(e.Output)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, text.String())
	}
	return r, err
}

// output runs the command and returns its standard output; what it says on standard error is part of the error.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return string(out), err
}
