package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// PgBouncer returns the program that [Server.Pool] starts.
func PgBouncer() (string, error) {
	// Debian keeps it where only root looks.
	for _, program := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(program); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("no PgBouncer for tests: install one (Debian and Ubuntu: apt-get install pgbouncer; macOS: brew install pgbouncer)")
}

// poolerSettings are those of a PgBouncer before one server. Clients do not get a connection of the server's but for a
// transaction, and there are fewer than clients.
const poolerSettings = `[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = transaction
default_pool_size = 3
logfile = %s
pidfile = %s
`

// Pool starts a PgBouncer in transaction mode before the server, and returns the address at which it is the server. It does
// not look after prepared statements, as later releases can. It goes with the server. One server has one at the most.
func (s *Server) Pool() (address string, err error) {
	program, err := PgBouncer()
	if err != nil {
		return "", err
	}
	err = onFreePort(func(port int) (err error) {
		address, err = s.pool(program, port)
		return err
	})
	return address, err
}

func (s *Server) pool(program string, port int) (string, error) {
	users, err := s.keeper.makeFile("users", fmt.Sprintf("%q %q\n", "postgres", s.password))
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(users)
	settings := fmt.Sprintf(poolerSettings, s.port, port, users, filepath.Join(dir, "log"), filepath.Join(dir, "pooler.pid"))
	if forgets(program) {
		settings += "max_prepared_statements = 0\n"
	}
	if _, err := s.keeper.makeFile("pooler.ini", settings); err != nil {
		return "", err
	}
	if err := s.keeper.do("pool " + program); err != nil {
		return "", err
	}
	url := address(s.password, port)
	return url, answering(url)
}

// forgets reports whether a PgBouncer is one that must be told not to look after prepared statements.
func forgets(program string) bool {
	out, err := exec.Command(program, "--version").Output()
	var major, minor int
	_, scanErr := fmt.Sscanf(strings.TrimSpace(string(out)), "PgBouncer %d.%d", &major, &minor)
	return err == nil && scanErr == nil && (major > 1 || minor >= 21)
}

// answering waits until a server that was just started answers.
func answering(url string) error {
	db, err := sql.Open("pgx", url+"&default_query_exec_mode=exec")
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		if err = db.PingContext(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
}
