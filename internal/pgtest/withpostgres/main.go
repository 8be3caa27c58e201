// Command withpostgres runs a command that tests against Postgres, such as go test with many packages, and gives all of its
// processes one server: the one that PURSER_TEST_POSTGRES names already, else a throw-away one.
//
//	withpostgres go test ./...
//
// It ends with the command's exit code. Without a command it only reports whether there are a Postgres and a PgBouncer to be
// had.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/purser-go/purser/internal/pgtest"
)

func main() {
	err := run(os.Args[1:])
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		os.Exit(exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		os.Exit(1)
	}
}

func run(command []string) (err error) {
	if len(command) == 0 {
		return available()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(pgtest.ServerVariable) == "" {
		server, err := pgtest.Launch()
		if err != nil {
			return err
		}
		defer server.Close()
		if err := os.Setenv(pgtest.ServerVariable, server.URL()); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The command is asked to stop and waited for, so that the server stays until its last test has ended.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.Run()
}

func available() error {
	_, err := pgtest.PgBouncer()
	if os.Getenv(pgtest.ServerVariable) == "" {
		_, missing := pgtest.Binaries()
		err = errors.Join(missing, err)
	}
	return err
}
