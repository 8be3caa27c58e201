// Command purser records usage, keeps it within budgets and shows who spends what. It is the library on a command line:
// each command is one call of a [budget.Ledger].
//
//	go run ./examples/purser demo
//
// shows it at work. It exits with 0 if all is well, 1 if something failed, a row was bad or a difference was found, 2 if it
// was used wrongly, and 3 if a budget refused.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(newProgram().run(ctx, os.Args[1:]))
}
