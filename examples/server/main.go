// Command server serves budgets and usage over HTTP, and a page that shows them. It is the library behind routes: each is
// one call of a [budget.Ledger].
//
//	go run ./examples/server --demo
//
// starts it on 127.0.0.1:8080 with a SQLite file, fills that with a service's usage, and prints a token to sign in with.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones are there wherever this runs
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := command(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}
