package store

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/store/sqlitestore"
)

// How connections are set up, beyond what package sqlitestore demands: no waiting for a lock, since a transaction that
// finds the database busy is run again after a random time.
const (
	writing = "?_pragma=busy_timeout(0)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
	reading = "?_pragma=busy_timeout(0)&_pragma=query_only(1)"
)

// maxReaders is how many views read at once; more of them wait.
const maxReaders = 8

func openSQLite(ctx context.Context, path string, o *Options) (*Store, error) {
	address, err := sqliteAddress(path)
	if err != nil {
		return nil, err
	}
	writes, err := openPrepared(address + writing)
	if err != nil {
		return nil, err
	}
	reads, err := openPrepared(address + reading)
	if err != nil {
		return nil, err
	}
	// One writer: the database has no more, and those that wait for a connection take turns.
	writes.SetMaxOpenConns(1)
	reads.SetMaxOpenConns(maxReaders)
	reads.SetMaxIdleConns(maxReaders)
	return opened(func() (budget.Store, error) {
		if !o.NoMigrate {
			if err := sqlitestore.Migrate(ctx, writes, &sqlitestore.MigrateOptions{ReportingZone: o.ReportingZone}); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		s, err := sqlitestore.New(writes, &sqlitestore.Options{Reads: reads, Now: o.Now})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}, writes, reads)
}

// sqliteAddress returns a path as a URI, in which a name with % or # means the same as it does in the path.
func sqliteAddress(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "///"); ok {
		path = "/" + rest
	}
	switch {
	case path == "":
		return "", invalid.Field("url", "must name a file, as in sqlite:budgets.db")
	case path == ":memory:":
		return "", invalid.Field("url", "must name a file: a store in memory is package memstore")
	case strings.Contains(path, "?"):
		return "", invalid.Field("url", "must be sqlite: and a path, without parameters")
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "", fmt.Errorf("%w: %s is a directory, must be a file", budget.ErrUnavailable, path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	absolute = filepath.ToSlash(absolute)
	if !strings.HasPrefix(absolute, "/") {
		absolute = "/" + absolute // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: absolute}).String(), nil
}
