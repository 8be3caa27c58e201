package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/internal/load"
	"github.com/purser-go/purser/period"
	"github.com/purser-go/purser/store/memstore"
	"github.com/purser-go/purser/usage"
)

// behaves is the environment variable by which the test's program becomes a process of a load.
const behaves = "LOAD_TEST_BEHAVES"

// behaviours are what processes may do.
var behaviours = map[string]func() error{
	"well": func() error { return load.Serve(context.Background(), budgeted(), os.Stdin, os.Stdout) },
	"not at all": func() error {
		return errors.New("no database")
	},
	"to the first report": func() error { return load.Serve(context.Background(), budgeted(), os.Stdin, dying{}) },
	"strangely": func() error {
		fmt.Println(`{"ready":true}`)
		for {
			fmt.Println(`nonsense`)
		}
	},
}

// dying writes a ready and a report, and ends the process.
type dying struct{}

func (dying) Write(text []byte) (int, error) {
	n, err := os.Stdout.Write(text)
	if !bytes.Contains(text, []byte("ready")) {
		os.Exit(9)
	}
	return n, err
}

// budgeted returns a store of its own with one budget, of 1000 requests.
func budgeted() budget.Store {
	s := memstore.New(nil)
	_, err := budget.NewLedger(s, nil).Create(context.Background(), budget.Budget{
		ID: "b", Name: "B", Metric: usage.Requests, Limit: decimal.NewFromInt(1000), Schedule: period.Lifetime,
	})
	if err != nil {
		panic(err)
	}
	return s
}

func TestMain(m *testing.M) {
	if behave := behaviours[os.Getenv(behaves)]; behave != nil {
		if err := behave(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// commands returns processes that behave so, one after the other.
func commands(behaviours ...string) func() *exec.Cmd {
	return func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), behaves+"="+behaviours[0])
		behaviours = behaviours[1:]
		return c
	}
}

func plan(t *testing.T, duration time.Duration) load.Plan {
	t.Helper()
	p, err := load.NewPlan([]budget.Budget{{ID: "b", Metric: usage.Requests}}, decimal.NewFromInt(1))
	if err != nil {
		t.Fatal(err)
	}
	p.Workers, p.Duration = 3, duration
	return p
}

func unwatched(*load.Sum) {}

// conductUntil conducts a load until enough has come of it, which is asked whenever a process has said what it did. That may
// take this machine long, and the load ends long before its time is over.
func conductUntil(t *testing.T, enough func(*load.Sum) bool, behaviours ...string) (*load.Sum, error) {
	t.Helper()
	const planned = 3 * time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := false
	sum, err := load.Conduct(ctx, len(behaviours), commands(behaviours...), plan(t, planned), func(sum *load.Sum) {
		if enough(sum) {
			came = true
			cancel()
		}
	})
	if !came {
		t.Error("the load does not come to what is waited for")
	}
	if sum.Elapsed >= planned {
		t.Errorf("it took %s, want that it ends early", sum.Elapsed)
	}
	return sum, err
}

func TestWhatAllProcessesDoIsAddedUp(t *testing.T) {
	watched := 0
	sum, err := conductUntil(t, func(sum *load.Sum) bool {
		watched++
		return sum.Settled == 2000 && sum.Refused > 0 && watched >= 4
	}, "well", "well")
	if err != nil {
		t.Fatal(err)
	}
	// Each process has a store of its own, and a limit that it reaches.
	if sum.Admitted != 2000 || sum.Settled != 2000 || sum.Refused == 0 {
		t.Errorf("%d admitted, %d settled, %d refused, want 2000, 2000 and some", sum.Admitted, sum.Settled, sum.Refused)
	}
	// Of four slices one process sent two or more, the second of them when two seconds were over, or at its end.
	if perSecond := total(sum.PerSecond); perSecond != 2000 || len(sum.PerSecond) < 2 || len(sum.PerSecond) > watched-1 {
		t.Errorf("admitted per second %v, watched %d times, want 2000 in seconds of which each process told", sum.PerSecond, watched)
	}
	if rate := 2000 / sum.Elapsed.Seconds(); sum.Elapsed < time.Second || math.Abs(sum.Rate()-rate) > 1e-6 {
		t.Errorf("took %s at %f per second, want a second or more, and the rate by it", sum.Elapsed, sum.Rate())
	}
	if p50, p99 := sum.Took(50), sum.Took(99); p50 <= 0 || p50 > p99 {
		t.Errorf("half took %s, 99 percent %s, want more than nothing, and not less", p50, p99)
	}
}

func total(counts []int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func TestOneProcessThatIsNotReadyKeepsAllFromBeginning(t *testing.T) {
	sum, err := load.Conduct(t.Context(), 2, commands("well", "not at all"), plan(t, time.Hour), unwatched)
	if err == nil || !strings.Contains(err.Error(), "process 2 does not work") || !strings.Contains(err.Error(), "exit status 1 no database") {
		t.Errorf("error %v, want that process 2 does not work, and why", err)
	}
	if sum.Admitted != 0 {
		t.Errorf("%d admitted, want none", sum.Admitted)
	}
}

func TestWhatDeadProcessesDidAndTheOthersCounts(t *testing.T) {
	for _, bad := range []string{"to the first report", "strangely"} {
		sum, err := conductUntil(t, func(sum *load.Sum) bool { return sum.Admitted >= 1000 }, "well", bad)
		if err == nil || !strings.Contains(err.Error(), "process 2: ") || strings.Contains(err.Error(), "process 1") {
			t.Errorf("%s: error %v, want that process 2 failed", bad, err)
		}
		if sum.Admitted < 1000 {
			t.Errorf("%s: %d admitted, want at least 1000", bad, sum.Admitted)
		}
	}
}

func TestALoadEndsEarlyWithItsContext(t *testing.T) {
	sum, err := conductUntil(t, func(sum *load.Sum) bool { return sum.Admitted > 0 }, "well", "well")
	if err != nil {
		t.Fatal(err)
	}
	if sum.Admitted != sum.Settled {
		t.Errorf("%d admitted, %d settled, want as many", sum.Admitted, sum.Settled)
	}
}

func TestAProcessEndsWithItsInput(t *testing.T) {
	in, parent := io.Pipe()
	var out bytes.Buffer
	done := make(chan error)
	go func() { done <- load.Serve(t.Context(), budgeted(), in, &out) }()
	if err := json.NewEncoder(parent).Encode(plan(t, time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := parent.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines < 2 {
		t.Errorf("it said %q, want that it is ready, and what it did", out.String())
	}
}

// Time is a bubble's: a load's time passes only when its workers rest, which they do once they are refused.
func TestALoadEndsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		for i, slice := range served(t, budgeted(), plan(t, 1500*time.Millisecond)) {
			if want := min(float64(i+1), 1.5); slice.Elapsed != want || (slice.Admitted > 0) != (i == 0) || slice.Refused == 0 {
				t.Errorf("slice %d is %+v, want %g s, and refusals alone but in the first", i, slice, want)
			}
		}
		if took := time.Since(begin); took != 1500*time.Millisecond {
			t.Errorf("it took %s, want 1.5 s", took)
		}
	})
}

func TestSettlementsAboveTheEstimateAreAsManyAsPlanned(t *testing.T) {
	for over, want := range map[int]func(used, admitted int64) bool{
		0:   func(used, admitted int64) bool { return used == admitted },
		50:  func(used, admitted int64) bool { return used > admitted && used < 2*admitted },
		100: func(used, admitted int64) bool { return used == 2*admitted }, // one request more is one unit more
	} {
		synctest.Test(t, func(t *testing.T) {
			s := budgeted()
			p := plan(t, 300*time.Millisecond)
			p.Over = over
			var admitted int64
			for _, slice := range served(t, s, p) {
				admitted += slice.Admitted
			}
			status, err := budget.NewLedger(s, nil).Status(t.Context(), "b", nil)
			if err != nil {
				t.Fatal(err)
			}
			if used := status.Used.IntPart(); used < 1000 || !want(used, admitted) {
				t.Errorf("%d percent over: %d used of %d admitted, want all of 1000", over, used, admitted)
			}
		})
	}
}

// served returns what a process of a load says.
func served(t *testing.T, s budget.Store, p load.Plan) (slices []load.Slice) {
	t.Helper()
	in, parent := io.Pipe()
	defer parent.Close()
	go func() { _ = json.NewEncoder(parent).Encode(p) }()
	var out bytes.Buffer
	if err := load.Serve(t.Context(), s, in, &out); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(&out)
	if err := lines.Decode(&struct{ Ready bool }{}); err != nil {
		t.Fatal(err)
	}
	for lines.More() {
		var slice load.Slice
		if err := lines.Decode(&slice); err != nil {
			t.Fatal(err)
		}
		slices = append(slices, slice)
	}
	return slices
}
