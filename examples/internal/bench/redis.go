package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/purser-go/purser/internal/pgtest"
)

// A redisServer is a Redis that writes nothing to the disk.
type redisServer struct {
	address string
	version string
	shell   *exec.Cmd
	input   io.Closer // when it is closed, the server stops
}

// keepRedis runs the command that it is given until its input ends, however the process at the other end died.
const keepRedis = `"$@" </dev/null >/dev/null 2>&1 & read -r _; kill $!; wait $!`

// launchRedis starts a throw-away server.
func launchRedis(ctx context.Context, dir string) (*redisServer, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errLeftOut{"there is no redis-server (Debian and Ubuntu: apt-get install redis-server)"}
	}
	port := strconv.Itoa(pgtest.FreePort())
	r := &redisServer{address: net.JoinHostPort("127.0.0.1", port)}
	r.shell = exec.Command("/bin/sh", "-c", keepRedis, "sh", program,
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no")
	if r.input, err = r.shell.StdinPipe(); err != nil {
		return nil, err
	}
	if err := r.shell.Start(); err != nil {
		return nil, err
	}
	if r.version, err = r.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start redis-server: %w", err), r.close())
	}
	return r, nil
}

// ready waits until the server answers, and returns its version.
func (r *redisServer) ready(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: r.address})
	defer client.Close()
	for ctx.Err() == nil {
		var about string
		if about, err = client.Info(ctx, "server").Result(); err == nil {
			_, after, _ := strings.Cut(about, "redis_version:")
			version, _, _ = strings.Cut(after, "\r")
			return version, nil
		}
		wait(ctx, 10*time.Millisecond)
	}
	return "", err
}

func (r *redisServer) close() error {
	err := r.input.Close()
	_ = r.shell.Wait() // it was told to end, and how it did does not matter
	return err
}

// Counters in Redis are numbers: what is used and what is reserved. The keys name them; the arguments are what to add to
// each, and for take then the limit of each.
var (
	takeScript = redis.NewScript(`
		local taken = redis.call('MGET', unpack(KEYS))
		for i = 1, #KEYS do
			if (tonumber(taken[i]) or 0) + ARGV[i] > tonumber(ARGV[#KEYS + i]) then return i end
		end
		for i = 1, #KEYS do redis.call('INCRBY', KEYS[i], ARGV[i]) end
		return 0`)
	settleScript = redis.NewScript(`
		for i = 1, #KEYS do redis.call('INCRBY', KEYS[i], ARGV[i]) end
		return 0`)
)

// A redisCounters is the counters of budgets in a Redis.
type redisCounters struct {
	client  *redis.Client
	budgets []watched
}

// counters opens a connection per caller.
func (r *redisServer) counters(ctx context.Context, budgets []watched, callers int, at *closers) (*redisCounters, error) {
	client := redis.NewClient(&redis.Options{Addr: r.address, PoolSize: callers, MinIdleConns: callers})
	at.add(client.Close)
	for _, script := range []*redis.Script{takeScript, settleScript} {
		if err := script.Load(ctx, client).Err(); err != nil {
			return nil, err
		}
	}
	return &redisCounters{client, budgets}, nil
}

// takeSide reserves: it adds to the counters if there is room in all of them, and stores nothing else.
func (r *redisServer) takeSide(ctx context.Context, budgets []watched, callers int, at *closers) (side, error) {
	c, err := r.counters(ctx, budgets, callers, at)
	work := func(ctx context.Context, d *dealer) (int, error) {
		_, err := c.take(ctx, d.errand())
		return 1, err
	}
	return side{name: inRedis, tenants: manyTenants, work: work, stage: c}, err
}

// settleSide reserves and, by another script, adds what was used beyond what was reserved.
func (r *redisServer) settleSide(ctx context.Context, budgets []watched, callers int, at *closers) (side, error) {
	c, err := r.counters(ctx, budgets, callers, at)
	work := func(ctx context.Context, d *dealer) (int, error) {
		e := d.errand()
		taken, err := c.take(ctx, e)
		if err != nil {
			return 0, err
		}
		return 1, c.settle(ctx, e, taken)
	}
	return side{name: inRedis, tenants: manyTenants, work: work, stage: c}, err
}

// A taking is what was added to which keys.
type taking struct {
	keys  []string
	units []int64
}

func (c *redisCounters) take(ctx context.Context, e errand) (taking, error) {
	totals, err := e.request.Estimate.Totals()
	if err != nil {
		return taking{}, err
	}
	var t taking
	args := make([]any, 2*len(c.budgets))
	for i, counting := range countings(c.budgets, e.request.Subject, totals, time.Now().UTC()) {
		key := counting.key
		t.keys = append(t.keys, key.Budget+":"+key.Value+":"+strconv.FormatInt(key.Start, 10))
		t.units = append(t.units, counting.units)
		args[i], args[len(c.budgets)+i] = counting.units, counting.budget.limit
	}
	refused, err := takeScript.EvalSha(ctx, c.client, t.keys, args...).Int()
	if err == nil && refused != 0 {
		err = errRefused
	}
	return t, err
}

func (c *redisCounters) settle(ctx context.Context, e errand, t taking) error {
	totals, err := e.used.Totals()
	if err != nil {
		return err
	}
	args := make([]any, len(t.keys))
	for i, b := range c.budgets {
		args[i] = b.Metric.Of(totals) - t.units[i]
	}
	return settleScript.EvalSha(ctx, c.client, t.keys, args...).Err()
}

func (c *redisCounters) begin(ctx context.Context) error { return c.client.FlushAll(ctx).Err() }

// audit counts the requests in the counters of the last budget, which counts them.
func (c *redisCounters) audit(ctx context.Context, units int) error {
	keys, err := c.client.Keys(ctx, c.budgets[len(c.budgets)-1].ID+":*").Result()
	if err != nil {
		return err
	}
	counted := 0
	for _, key := range keys {
		n, err := c.client.Get(ctx, key).Int()
		if err != nil {
			return err
		}
		counted += n
	}
	if counted != units {
		return fmt.Errorf("after a turn, Redis has counted %d requests, should be %d", counted, units)
	}
	return nil
}
