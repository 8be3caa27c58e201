package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// A lab is where the rows are measured.
type lab struct {
	settings
	dir      string // for SQLite's files
	progress *progress
	report   *report
	atEnd    closers

	real, slow *server // started when first asked for
	memory     *redisServer
	histories  map[int]*history
	sqlitePast *place
	years      map[string]*year
	services   map[string]*service
	program    string // the server example, once it is built
}

func newLab(ctx context.Context, s settings, status io.Writer, rows int) (*lab, error) {
	dir, err := os.MkdirTemp("", "purser-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{settings: s, dir: dir, progress: newProgress(status, rows), histories: make(map[int]*history), years: make(map[string]*year), services: make(map[string]*service)}
	l.atEnd.add(func() error { return os.RemoveAll(dir) })
	l.atEnd.add(l.progress.stop)
	about, err := aboutMachine(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	l.report = &report{Machine: about, Date: time.Now().UTC().Truncate(time.Second), Repeats: s.repeats, Turn: s.duration.Seconds()}
	return l, nil
}

func (l *lab) close() error { return l.atEnd.close() }

// errLeftOut says why a row can't be measured here.
type errLeftOut struct{ reason string }

func (e errLeftOut) Error() string { return e.reason }

// run measures one row.
func (l *lab) run(ctx context.Context, r row) error {
	var at closers
	l.progress.begin(r.name)
	err := errors.Join(r.run(ctx, l, &at), at.close())
	var unable errLeftOut
	if errors.As(err, &unable) {
		l.report.LeftOut = append(l.report.LeftOut, leftOut{r.name, unable.reason})
		err = nil
	}
	l.progress.end()
	return err
}

// realDisk returns the server whose files are where the system keeps temporary files, or the one that the environment
// names.
func (l *lab) realDisk(ctx context.Context) (*server, error) {
	if l.real != nil {
		return l.real, nil
	}
	s, err := named(ctx)
	if err == nil && s == nil {
		s, err = launch(ctx)
	}
	if err != nil {
		return nil, err
	}
	l.real = s
	l.atEnd.add(s.close)
	return s, s.describe(ctx, &l.report.Machine)
}

// slowDisk returns a server whose fsync takes a millisecond longer.
func (l *lab) slowDisk(ctx context.Context) (*server, error) {
	if l.slow != nil {
		return l.slow, nil
	}
	s, err := launchSlow(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	l.slow = s
	l.atEnd.add(s.close)
	return s, nil
}

// redis returns a Redis.
func (l *lab) redis(ctx context.Context) (*redisServer, error) {
	if l.memory != nil {
		return l.memory, nil
	}
	r, err := launchRedis(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	l.memory = r
	l.atEnd.add(r.close)
	l.report.Machine.Redis = r.version
	return r, nil
}

func (l *lab) files() folder { return folder(l.dir) }
