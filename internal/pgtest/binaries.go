package pgtest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// BinariesVariable is the environment variable that names the folder of the Postgres programs to use.
const BinariesVariable = "PURSER_TEST_POSTGRES_BIN"

// places are where packages put the server's programs when they keep them off PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // the PostgreSQL project's packages for Red Hat
	"/usr/local/pgsql/bin",                               // built from source
	"/opt/homebrew/opt/postgresql@*/bin",                 // macOS on ARM
	"/usr/local/opt/postgresql@*/bin",                    // macOS on Intel
	"/opt/local/lib/postgresql*/bin",                     // MacPorts
	"/Applications/Postgres.app/Contents/Versions/*/bin", // macOS
}

// Binaries returns the folder of the Postgres programs that [Launch] starts a server from.
func Binaries() (string, error) {
	for _, dir := range candidates() {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no Postgres for tests: install one (Debian and Ubuntu: apt-get install postgresql; macOS: "+
		"brew install postgresql), name the folder of its initdb, pg_basebackup, pg_ctl and postgres in %s, or name a running server in %s",
		BinariesVariable, ServerVariable)
}

// candidates are the folder that the caller names, and only this; else the one on PATH, then the places, the newest
// version first.
func candidates() []string {
	if dir := os.Getenv(BinariesVariable); dir != "" {
		return []string{dir}
	}
	var found []string
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // a pattern that can't be read matches nothing
		found = append(found, dirs...)
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	if program, err := exec.LookPath("pg_ctl"); err == nil {
		found = slices.Insert(found, 0, filepath.Dir(program))
	}
	return found
}

var digits = regexp.MustCompile(`\d+`)

// version is the major version that a folder's name speaks of, or 0.
func version(dir string) int {
	v, _ := strconv.Atoi(digits.FindString(dir))
	return v
}

func complete(dir string) bool {
	for _, program := range []string{"initdb", "pg_basebackup", "pg_ctl", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}
