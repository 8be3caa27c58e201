package outagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/purser-go/purser/internal/soak"
)

// A SQLite file is taken away, and brought back. Nothing is acknowledged without it, although whoever has it open could go
// on writing.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "purser.db"), filepath.Join(dir, "elsewhere.db")
	f := launch(t, "sqlite:"+path)
	move(t, path, elsewhere)
	f.fail("unable to open database file")
	before, _ := f.asking.progress()
	f.fail("unable to open database file")
	if after, _ := f.asking.progress(); after != before {
		t.Errorf("%d calls were acknowledged without a file", after-before)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("another file was made")
	}
	move(t, elsewhere, path)
	f.goOn()
	f.prove("sqlite:" + path)
}

func filesOf(path string) []string { return []string{path, path + "-wal", path + "-shm"} }

func move(t *testing.T, from, to string) {
	t.Helper()
	for i, file := range filesOf(from) {
		if err := os.Rename(file, filesOf(to)[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// Four processes work on one file, while another one takes the right to write and keeps it for longer than a transaction
// may wait.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("has five processes wait for each other")
	}
	url := "sqlite:" + filepath.Join(t.TempDir(), "purser.db")
	makeBudgets(t, opened(t, url))
	var workers []*process
	for i := range 4 {
		workers = append(workers, start(t, program(), url, fmt.Sprint("p", i)))
	}
	locker := start(t, program(), url, "locker")
	all := func(o order, rest string) {
		for _, p := range workers {
			p.give(o, rest)
		}
		for _, p := range workers {
			p.answer()
		}
	}
	all(goOn, "")
	for range soak.Count(t, "locks of a file that four processes want", 1, 100) {
		locker.do(lock, "")
		all(fail, "locked")
		locker.do(unlock, "")
		all(goOn, "")
	}
	for _, p := range workers {
		p.give(stop, "")
	}
	var tolds []told
	for _, p := range workers {
		tolds = append(tolds, p.told())
	}
	prove(t, url, tolds...)
}
