package main

import (
	"context"
	"io"
	"time"

	"github.com/purser-go/purser/budget"
)

// fillDemo fills an empty database with a service's usage.
func fillDemo(ctx context.Context, ledger *budget.Ledger, now time.Time, progress io.Writer) error {
	return nil
}
