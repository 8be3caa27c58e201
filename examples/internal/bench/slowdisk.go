package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/purser-go/purser/internal/pgtest"
)

//go:embed slowdisk/slow.c
var slowSource []byte

// fsyncDelay is what slow.c adds to each fsync.
const fsyncDelay = time.Millisecond

// launchSlow starts a throw-away server whose fsync takes fsyncDelay longer. What it needs besides lies in dir, for as long
// as the server runs.
func launchSlow(ctx context.Context, dir string) (_ *server, err error) {
	programs, err := slowPrograms(ctx, dir)
	if err != nil {
		return nil, err
	}
	restore, err := setenv(pgtest.BinariesVariable, programs)
	if err != nil {
		return nil, err
	}
	s, err := launch(ctx)
	if err := errors.Join(err, restore()); err != nil {
		return nil, err
	}
	if err := s.requireDelay(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// slowPrograms makes a folder of Postgres' programs, of which pg_ctl preloads the library that delays fsync: what it starts
// inherits that.
func slowPrograms(ctx context.Context, dir string) (string, error) {
	library, err := compileSlow(ctx, dir)
	if err != nil {
		return "", err
	}
	bin, err := pgtest.Binaries()
	if err != nil {
		return "", err
	}
	programs := filepath.Join(dir, "bin")
	script := fmt.Sprintf("#!/bin/sh\nLD_PRELOAD='%s' exec '%s' \"$@\"\n", library, filepath.Join(bin, "pg_ctl"))
	return programs, errors.Join(
		os.Mkdir(programs, 0o755),
		os.Chmod(dir, 0o755), // the server's user has to get here
		os.Symlink(filepath.Join(bin, "initdb"), filepath.Join(programs, "initdb")),
		os.Symlink(filepath.Join(bin, "postgres"), filepath.Join(programs, "postgres")),
		os.Symlink(filepath.Join(bin, "pg_basebackup"), filepath.Join(programs, "pg_basebackup")),
		os.WriteFile(filepath.Join(programs, "pg_ctl"), []byte(script), 0o755),
	)
}

func compileSlow(ctx context.Context, dir string) (library string, err error) {
	if runtime.GOOS != "linux" {
		return "", errLeftOut{"only Linux preloads a library this way"}
	}
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		return "", errLeftOut{"there is no C compiler"}
	}
	source := filepath.Join(dir, "slow.c")
	if err := os.WriteFile(source, slowSource, 0o644); err != nil {
		return "", err
	}
	library = filepath.Join(dir, "slow.so")
	if output, err := exec.CommandContext(ctx, compiler, "-O2", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the library that delays fsync: %w\n%s", err, output)
	}
	return library, nil
}

// setenv sets a variable until restore is called.
func setenv(name, value string) (restore func() error, err error) {
	before, was := os.LookupEnv(name)
	restore = func() error { return os.Unsetenv(name) }
	if was {
		restore = func() error { return os.Setenv(name, before) }
	}
	return restore, os.Setenv(name, value)
}

// requireDelay refuses a server that commits faster than the delay allows: the library has no effect there.
func (s *server) requireDelay(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, "CREATE TABLE delayed (n int)"); err != nil {
		return err
	}
	for range 10 {
		start := time.Now()
		if _, err := s.db.ExecContext(ctx, "INSERT INTO delayed VALUES (1)"); err != nil {
			return err
		}
		if took := time.Since(start); took < fsyncDelay {
			return fmt.Errorf("a commit took %s: the library that delays fsync has no effect", took)
		}
	}
	return nil
}
