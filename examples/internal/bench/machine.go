package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A machine is what the figures were measured on, and with which versions.
type machine struct {
	CPU        string   `json:"cpu"`
	Cores      int      `json:"cores"`
	Memory     string   `json:"memory"`
	System     string   `json:"system"`
	FileSystem string   `json:"file_system"`  // of the databases
	Fsync      string   `json:"fsync_median"` // of 8 KiB that were just written there
	Purser     string   `json:"purser"`
	Go         string   `json:"go"`
	SQLite     string   `json:"sqlite"`
	Postgres   string   `json:"postgres,omitempty"`
	Settings   []string `json:"postgres_settings,omitempty"`
	Redis      string   `json:"redis,omitempty"`
}

// aboutMachine describes the machine; the databases lie near dir.
func aboutMachine(ctx context.Context, dir string) (machine, error) {
	m := machine{
		CPU:        proc("cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		Memory:     proc("meminfo", "MemTotal"),
		System:     strings.TrimSpace(runtime.GOOS + " " + kernel() + " " + runtime.GOARCH),
		FileSystem: fileSystem(dir),
		Purser:     commit(ctx),
		Go:         runtime.Version(),
	}
	took, err := fsyncTime(dir)
	if err != nil {
		return machine{}, err
	}
	m.Fsync = took.Round(time.Microsecond).String()
	m.SQLite, err = sqliteVersion(ctx)
	return m, err
}

// describe adds the server's version and settings.
func (s *server) describe(ctx context.Context, m *machine) (err error) {
	if m.Postgres, err = s.show(ctx, "server_version"); err != nil {
		return err
	}
	for _, setting := range []string{
		"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "wal_level", "shared_buffers", "max_wal_size",
		"checkpoint_timeout", "max_connections", "autovacuum", "jit", "max_parallel_workers_per_gather",
	} {
		value, err := s.show(ctx, setting)
		if err != nil {
			return err
		}
		m.Settings = append(m.Settings, setting+"="+value)
	}
	return nil
}

const unknown = "unknown"

// proc returns the first value of this name in a file of /proc.
func proc(file, name string) string {
	text, err := os.Open(filepath.Join("/proc", file))
	if err != nil {
		return unknown
	}
	defer text.Close()
	for lines := bufio.NewScanner(text); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(release))
}

// fileSystem returns the type of the file system that path is on.
func fileSystem(path string) string {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return unknown
	}
	defer mounts.Close()
	longest, kind := 0, unknown
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		// The last of those that lie above path is the one in force.
		if point := fields[1]; len(point) >= longest && within(path, point) {
			longest, kind = len(point), fields[2]
		}
	}
	return kind
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// commit names the version of Purser that is measured.
func commit(ctx context.Context) string {
	output, err := exec.CommandContext(ctx, "git", "describe", "--always", "--tags", "--dirty=, with changes").Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(output))
}

// fsyncTime returns the median time that it takes to get a page that was just written onto the disk.
func fsyncTime(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	page, took := make([]byte, 8<<10), make([]time.Duration, 200)
	for i := range took {
		if _, err := file.Write(page); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := file.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return percentile(took, 50), nil
}

func sqliteVersion(ctx context.Context) (version string, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return "", fmt.Errorf("version of SQLite: %w", err)
	}
	return version, nil
}
