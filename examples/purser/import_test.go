package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func summary(recorded, duplicates, conflicts, invalid int) object {
	count := func(n int) any { return literal(fmt.Sprint(n)) }
	return object{
		"recorded": count(recorded), "duplicates": count(duplicates), "conflicts": count(conflicts), "invalid": count(invalid),
	}
}

func wantSummary(t *testing.T, what string, d done, want object) {
	t.Helper()
	got := d.object()
	has(t, what, got, want)
	if len(got) != len(want) {
		t.Errorf("%s: the summary is %v, want no more than %v", what, got, want)
	}
}

func TestTheWholeTraceImportedTwiceCountsOnce(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		file := u.writeTrace()
		flags := []string{"--map", "resource=service", "--tenant", "acme", "--json"}
		first := u.ok(append([]string{"import", file}, flags...)...)
		wantSummary(t, "first import", first, summary(28_185, 0, 0, 0))
		second := u.ok(append([]string{"import", file}, flags...)...)
		wantSummary(t, "second import", second, summary(0, 28_185, 0, 0))

		groups := u.ok("top", "--by", "tenant", "--json").list()
		if len(groups) != 1 {
			t.Fatalf("top has %v, want one tenant", groups)
		}
		has(t, "usage", groups[0], object{
			"key": "acme", "requests": literal("28185"), "input_tokens": literal("40421844"), "output_tokens": literal("4334561"),
			"cache_read_tokens": literal("0"), "cache_creation_tokens": literal("0"), "total_tokens": literal("44756405"),
			"cost": literal("0"),
		})
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}, "events": literal("28185")})
	})
}

const rows = "timestamp,user,input_tokens\n2026-03-01T09:30:00Z,ada,1\n2026-03-01T09:30:00Z,ada,1\n2026-03-01T09:31:00Z,bob,2\n"

func TestAFileCountsOnceHoweverItComes(t *testing.T) {
	u := newUser(t)
	wantSummary(t, "a file", u.ok("import", u.write("usage.csv", rows), "--json"), summary(3, 0, 0, 0))
	wantSummary(t, "the same from standard input", u.runWith(rows, "import", "-", "--json").want(exitOK), summary(0, 3, 0, 0))
	wantSummary(t, "the same packed, and named otherwise", u.ok("import", u.write("usage.log", packed(t, rows)), "--json"), summary(0, 3, 0, 0))
	wantSummary(t, "the same packed from standard input", u.runWith(packed(t, rows), "import", "-", "--json").want(exitOK), summary(0, 3, 0, 0))
	grown := u.write("usage.csv", rows+"2026-03-01T09:32:00Z,ada,3\n")
	wantSummary(t, "the file when it has grown", u.ok("import", grown, "--json"), summary(1, 3, 0, 0))
	wantSummary(t, "two files", u.ok("import", grown, "usage.log", "--json"), summary(0, 7, 0, 0))
	wantSummary(t, "a feed that begins alike", u.ok("import", grown, "--id-salt", "eu", "--json"), summary(4, 0, 0, 0))
	wantSummary(t, "the file of another tenant", u.ok("import", grown, "--tenant", "acme", "--json"), summary(4, 0, 0, 0))
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestColumnsAreReadAsTheFlagsSay(t *testing.T) {
	u := newUser(t)
	id := u.create("--name", "Blue", "--metric", "tokens", "--limit", "100", "--period", "lifetime", "--scope", "team=blue")
	file := u.write("usage.csv", "service,team,prompt,input_tokens\nconv,blue,\"a\nb\",5\n")
	u.ok("import", file, "--map", "resource=service", "--ignore", "prompt", "--tenant", "acme", "--user", "ada", "--api-key", "k1")
	for dimension, want := range map[string]string{"tenant": "acme", "user": "ada", "api_key": "k1", "resource": "conv"} {
		has(t, "top by "+dimension, u.ok("top", "--by", dimension, "--json").list()[0], object{"key": want})
	}
	has(t, "a budget on a label", u.ok("status", id, "--json").list()[0], object{"used": literal("5")})
}

func TestJSONLinesAreImported(t *testing.T) {
	u := newUser(t)
	lines := `{"id":"e1","time":"2026-03-01T09:30:00Z","user":"ada","input_tokens":7,"cost":0.000000001}` + "\n" +
		`{"id":"e2","timestamp":"2026-03-01 09:30:00.6805900","user":"ada","output_tokens":"8","cost":"12.50"}` + "\n"
	wantSummary(t, "JSON lines", u.ok("import", u.write("usage.csv", lines), "--json"), summary(2, 0, 0, 0))
	has(t, "usage", u.ok("top", "--by", "user", "--json").list()[0], object{
		"input_tokens": literal("7"), "output_tokens": literal("8"), "cost": literal("12.500000001"),
	})
}

func TestBadRowsAreReportedAndTheOthersRecorded(t *testing.T) {
	u := newUser(t)
	file := u.write("usage.csv", "id,timestamp,input_tokens\n"+
		"e1,2026-03-01T09:30:00Z,1\n"+
		"e2,2026-03-01T09:30:00Z,-1\n"+
		"e3,yesterday,many\n"+
		"e1,2026-03-01T09:30:00Z,2\n"+
		"e4,2190-01-01T00:00:00Z,1\n"+
		"e5,2026-03-01T09:30:00Z,1\n")
	d := u.run("import", file, "--json").want(exitFailed).
		says("purser: usage.csv:3: input_tokens: must not be negative\n").
		says("purser: usage.csv:4: timestamp: must be a time such as 2026-03-01T09:30:00Z\n").
		says("purser: usage.csv:4: input_tokens: must be a number such as 12.5\n").
		says("purser: usage.csv:5: conflict: ").
		says("purser: usage.csv:6: time: is 2190-01-01T00:00:00Z, more than 5m0s ahead of now\n").
		says("purser: 4 of 6 rows were bad\n")
	wantSummary(t, "import", d, summary(2, 0, 1, 3))
	u.run("import", file).want(exitFailed)
}

func TestOnlySoManyBadRowsAreShown(t *testing.T) {
	u := newUser(t)
	file := u.write("usage.csv", "input_tokens\n"+strings.Repeat("x\n", 1000)+"1\n")
	d := u.run("import", file, "--json").want(exitFailed).says("purser: … and 980 more bad rows\n")
	wantSummary(t, "import", d, summary(1, 0, 0, 1000))
	if n := strings.Count(d.stderr, "usage.csv:"); n != maxShown {
		t.Errorf("%d bad rows are shown, want %d", n, maxShown)
	}
}

func TestTextsOfFilesDoNotSteerTheTerminal(t *testing.T) {
	u := newUser(t)
	d := u.run("import", u.write("usage.jsonl", `{"\u001b[2J`+strings.Repeat("x", 5000)+`":[]}`)).want(exitFailed)
	line, _, _ := strings.Cut(d.stderr, "\n")
	if strings.Contains(d.stderr, "\x1b") || len(line) > 1100 {
		t.Errorf("stderr is %q, want no escape sequence and a short line", d.stderr)
	}
}

func TestAFileThatCannotBeReadCostsNoOther(t *testing.T) {
	u := newUser(t)
	good := u.write("good.csv", rows)
	tests := map[string]struct{ file, says string }{
		"that does not exist":  {"none.csv", "purser: none.csv: no such file or directory\n"},
		"that is a folder":     {".", "purser: .: "},
		"without header":       {u.write("bare.csv", "2026-03-01T09:30:00Z,1\n"), "purser: bare.csv: the first line is no header"},
		"of one endless line":  {u.write("long.csv", strings.Repeat("x", 8<<20)), "purser: long.csv: the first line is longer than 1 MiB"},
		"of something else":    {u.write("noise.bin", "PK\x03\x04\x00\x00"), "purser: noise.bin: the first line is no header"},
		"packed and cut off":   {u.write("cut.csv.gz", packed(t, rows)[:30]), "purser: cut.csv.gz: unexpected EOF\n"},
		"with a column for no": {u.write("model.csv", "service,resource\n"), "purser: model.csv: resource: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := user{t: t, dir: u.dir, db: "sqlite:" + t.TempDir() + "/purser.db"}
			flags := []string{"--json"}
			if test.file == "model.csv" {
				flags = append(flags, "--map", "resource=service")
				good = u.write("service.csv", strings.Replace(rows, "user", "service", 1))
			}
			d := u.run(append([]string{"import", test.file, good}, flags...)...).want(exitFailed).says(test.says)
			has(t, "import", d.object(), object{"recorded": literal("3")})
		})
	}
}

func TestAnInterruptedImportSaysWhatItDidAndCanBeRunAgain(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u.ok("migrate")
		var text strings.Builder
		text.WriteString("user,input_tokens\n")
		for i := range 1200 {
			fmt.Fprintf(&text, "ada,%d\n", i)
		}
		running := u.command("import", "-", "--json")
		var stdout, stderr bytes.Buffer
		running.Stdout, running.Stderr = &stdout, &stderr
		stdin, err := running.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := running.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(stdin, text.String()); err != nil {
			t.Fatal(err)
		}
		for len(u.ok("top", "--by", "user", "--json").list()) == 0 {
			// The first batch is not recorded yet.
		}
		if err := running.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_ = running.Wait() // its exit code is checked below
		d := done{t, []string{"import", "-"}, running.ProcessState.ExitCode(), stdout.String(), stderr.String()}
		d.want(exitFailed).says("purser: interrupted\n")
		recorded, err := d.object()["recorded"].(interface{ Int64() (int64, error) }).Int64()
		if err != nil || recorded == 0 || recorded%500 != 0 {
			t.Fatalf("%d recorded, error %v, want whole batches of 500", recorded, err)
		}
		again := u.runWith(text.String(), "import", "-", "--json").want(exitOK)
		wantSummary(t, "import again", again, summary(1200-int(recorded), int(recorded), 0, 0))
	})
}

func TestProcessesThatImportOneFileAtOnceCountItOnceThoughOneIsKilled(t *testing.T) {
	onEachDatabase(t, func(t *testing.T, u user) {
		u.ok("migrate")
		args := []string{"import", u.writeTrace(), "--map", "resource=service", "--tenant", "acme", "--json"}
		var running [3]*exec.Cmd
		var outputs [3]bytes.Buffer
		for i := range running {
			running[i] = u.command(args...)
			running[i].Stdout, running[i].Stderr = &outputs[i], &outputs[i]
			if err := running[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for len(u.ok("top", "--by", "tenant", "--json").list()) == 0 {
			// None has recorded anything yet.
		}
		if err := running[0].Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = running[0].Wait() // it was killed
		for i, c := range running[1:] {
			if err := c.Wait(); err != nil {
				t.Errorf("import %d: %v: %s", i+1, err, &outputs[i+1])
			}
		}
		wantSummary(t, "import again", u.ok(args...), summary(0, 28_185, 0, 0))
		has(t, "verification", u.ok("verify", "--json").object(), object{"differences": []any{}, "events": literal("28185")})
	})
}
