package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
// finds the database busy is run again after a random time; and no making of files, since one without tables in the place
// of one that was deleted would help nobody.
const (
	writing = "?mode=rw&_pragma=busy_timeout(0)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
	reading = "?mode=rw&_pragma=busy_timeout(0)&_pragma=query_only(1)"
)

// maxReaders is how many views read at once; more of them wait.
const maxReaders = 8

func openSQLite(ctx context.Context, path string, o *Options) (*Store, error) {
	file, err := sqliteFile(path)
	if err != nil {
		return nil, err
	}
	writes, err := openPrepared(file, address(file)+writing)
	if err != nil {
		return nil, err
	}
	reads, err := openPrepared(file, address(file)+reading)
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

// sqliteFile returns the absolute path of the file that a URL names, and makes it if it does not exist.
func sqliteFile(path string) (string, error) {
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
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(absolute); {
	case errors.Is(err, fs.ErrNotExist):
		return absolute, makeFile(absolute)
	case err == nil && info.IsDir():
		return "", fmt.Errorf("%w: %s is a directory, must be a file", budget.ErrUnavailable, path)
	default:
		return absolute, nil
	}
}

// makeFile makes an empty file, which another process may do at the same time.
func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // as SQLite would, less the umask
	if err != nil {
		return fmt.Errorf("%w: %w", budget.ErrUnavailable, err)
	}
	return file.Close()
}

// address returns a path as a URI, in which a name with % or # means the same as it does in the path.
func address(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
