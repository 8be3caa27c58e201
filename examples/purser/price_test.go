package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

const ownPrices = `provider,model,match,from,above,input,cache_read,cache_creation,cache_creation_long,output,request
openai,gpt-5,starts_with,,,1.25,0.125,,,10,
openai,gpt-5,,2026-09-01,,1,0.1,,,8,
anthropic,claude,starts_with,,,3,0.3,3.75,6,15,
anthropic,claude,,,200000,6,0.6,7.5,12,22.5,
aws,nova,,,,0.06,,,,0.24,0.001
`

// lines returns the JSON objects that were printed, one per line.
func (d done) lines() (found []object) {
	d.t.Helper()
	for line := range strings.Lines(d.stdout) {
		found = append(found, decoded[object](done{d.t, d.args, d.code, line, ""}))
	}
	return found
}

// testdata returns the path of a file that a package of the library keeps.
func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "usage", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResponsesArePriced(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	responses := `{"model":"gpt-5-mini","usage":{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens":3}}
{"model":"claude-x","usage":{"input_tokens":3,"cache_creation_input_tokens":500,"cache_read_input_tokens":7,"cache_creation":{"ephemeral_1h_input_tokens":300},"output_tokens":50}}
{"body":{"usage":{"inputTokens":10,"outputTokens":5}},"extracted":[]}
`
	d := u.ok("price", "--list", list, "--usage", u.write("usage.jsonl", responses), "--model", "nova", "--at", "2026-08-31", "--json")
	want := []object{
		{
			"line": literal("1"), "provider": "openai", "api": "chat", "model": "gpt-5-mini",
			"input_tokens": literal("60"), "output_tokens": literal("3"), "cache_creation_tokens": literal("0"), "cache_read_tokens": literal("40"),
			"classes":     object{"input": literal("60"), "cache_read": literal("40"), "output": literal("3")},
			"input_price": literal("0.00008"), "output_price": literal("0.00003"), "request_price": literal("0"), "cost": literal("0.00011"),
			"priced_by": "own openai/gpt-5",
		},
		{
			"line": literal("2"), "provider": "anthropic", "api": "default", "model": "claude-x",
			"input_tokens": literal("3"), "output_tokens": literal("50"), "cache_creation_tokens": literal("500"), "cache_read_tokens": literal("7"),
			"classes": object{
				"input": literal("3"), "cache_read": literal("7"), "cache_creation": literal("200"), "cache_creation_long": literal("300"), "output": literal("50"),
			},
			"input_price": literal("0.0025611"), "output_price": literal("0.00075"), "request_price": literal("0"), "cost": literal("0.0033111"),
			"priced_by": "own anthropic/claude",
		},
		{
			"line": literal("3"), "provider": "aws", "api": "default", "model": "nova",
			"input_tokens": literal("10"), "output_tokens": literal("5"), "cache_creation_tokens": literal("0"), "cache_read_tokens": literal("0"),
			"classes":     object{"input": literal("10"), "output": literal("5")},
			"input_price": literal("0.0000006"), "output_price": literal("0.0000012"), "request_price": literal("0.001"), "cost": literal("0.0010018"),
			"priced_by": "own aws/nova",
		},
	}
	if diff := cmp.Diff(want, d.lines()); diff != "" {
		t.Errorf("what was priced (-want +got)\n%s", diff)
	}

	text := u.ok("price", "--list", list, "--usage", "usage.jsonl", "--model", "nova", "--at", "2026-09-01").stdout
	for _, line := range []string{
		"1  openai/chat  gpt-5-mini  input 60 cache read 40 output 3  $0.000064 in, $0.000024 out, $0.000088 in all  by own openai/gpt-5 from 2026-09-01T00:00:00Z\n",
		"3 responses, 0.0044009 dollars\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

func TestTheInterfaceThatIsNamedIsObeyed(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	const response = `{"model":"gpt-5","usage":{"input_tokens":3,"cache_read_input_tokens":7,"output_tokens":5}}`
	d := u.runWith(response, "price", "--list", list, "--usage", "-", "--provider", "openai", "--api", "responses", "--json").want(exitOK)
	has(t, "response", d.object(), object{"provider": "openai", "api": "responses", "input_tokens": literal("3"), "cache_read_tokens": literal("0")})
	u.run("price", "--list", list, "--usage", "-", "--api", "telepathy").want(exitUsage).says("purser: --api: must be one of default, chat, ")
}

func TestEarlierListsGoFirst(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	const response = `{"model":"gpt-5","usage":{"prompt_tokens":1,"completion_tokens":0}}`
	by := func(lists ...string) any {
		args := []string{"price", "--usage", "-", "--json"}
		for _, list := range lists {
			args = append(args, "--list", list)
		}
		return u.runWith(response, args...).want(exitOK).object()["priced_by"]
	}
	genai, litellm := testdata(t, "price/testdata/genai_prices.json.gz"), testdata(t, "price/testdata/litellm_prices.json.gz")
	for want, lists := range map[string][]string{
		"genai_prices openai/gpt-5": {genai, litellm}, "litellm_prices openai/gpt-5": {litellm, list}, "own openai/gpt-5 from 2026-09-01T00:00:00Z": {list, genai},
	} {
		if got := by(lists...); got != want {
			t.Errorf("%q: by %q, want %q", lists, got, want)
		}
	}
}

func TestBadResponsesAreReportedAndTheOthersPriced(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	file := u.write("usage.jsonl", `nonsense
{
  "model": "gpt-5",
  "usage": {"prompt_tokens": 10, "completion_tokens": -1, "total_tokens": 1e99}
}
{"model":"gpt-5","usage":{"prompt_tokens":10,"completion_tokens":1}}
{"model":"gpt-5","choices":[]}
{"model":"gpt-4","usage":{"prompt_tokens":10,"completion_tokens":1}}
{"model":"gpt-5","usage":{"tokens":10}}
`)
	d := u.run("price", "--list", list, "--usage", file, "--json").want(exitFailed).
		says("purser: usage.jsonl:1: line: is no JSON\n").
		says("purser: usage.jsonl:2: usage.completion_tokens: must be from 0 to 1000000000000\n").
		says("purser: usage.jsonl:2: usage.total_tokens: has an exponent beyond 64\n").
		says("purser: usage.jsonl:7: usage: is not there: what was used is unknown\n").
		says("purser: usage.jsonl:8: model: no price of model \"gpt-4\" of provider \"openai\" (told by its shape; --provider names another)\n").
		says("purser: usage.jsonl:9: usage: has the shape of no interface that is known\n").
		says("purser: of 6 responses 4 can't be read, 1 have no price\n")
	var lines, unknown []string
	for _, o := range d.lines() {
		line := string(o["line"].(json.Number))
		lines = append(lines, line)
		if o["cost"] == nil {
			unknown = append(unknown, line)
		}
		if (o["cost"] == nil) != (o["errors"] != nil) {
			t.Errorf("line %s costs %v, with errors %v", line, o["cost"], o["errors"])
		}
	}
	if diff := cmp.Diff([]string{"1", "2", "6", "7", "8", "9"}, lines); diff != "" {
		t.Errorf("lines that are answered (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1", "2", "7", "8", "9"}, unknown); diff != "" {
		t.Errorf("lines whose cost is unknown (-want +got)\n%s", diff)
	}
	u.run("price", "--list", file, "--usage", file).want(exitFailed).says("purser: usage.jsonl: ").says("price list \"usage\"")
	u.run("price", "--list", "absent.csv", "--usage", file).want(exitFailed).says("purser: absent.csv: no such file or directory\n")
	u.run("price", "--list", list, "--usage", "absent.jsonl", "--usage", file).want(exitFailed).says("purser: absent.jsonl: no such file or directory\n")
	u.run("price", "--list", list).want(exitUsage).says("usage")
}

func TestWhatHasNoPriceSaysWhichFlagMayHelp(t *testing.T) {
	u := newUser(t)
	args := []string{"price", "--list", u.write("own.csv", ownPrices+"openai,in,,,,1,,,,,\n"), "--usage", "-"}
	price := func(response string, more ...string) done {
		t.Helper()
		return u.runWith(response, append(args, more...)...).want(exitFailed)
	}
	const tokens = `"usage":{"prompt_tokens":1,"completion_tokens":1}}`
	price("{" + tokens).says("purser: -:1: model: no price: no model is named; --model names it\n")
	price(`{"model":"in",` + tokens).says("purser: -:1: model: no price of output tokens: own openai/in\n")
	price(`{"model":"gpt-4",`+tokens, "--provider", "openai").says("purser: -:1: model: no price of model \"gpt-4\" of provider \"openai\"\n")
}

func TestStandardInputIsReadOnce(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	for _, args := range [][]string{
		{"price", "--list", list, "--usage", "-", "--usage", "-"},
		{"price", "--list", "-", "--usage", "-"},
	} {
		u.runWith("{}", args...).want(exitUsage).says("purser: --usage: - is standard input, which can be read only once\n")
	}
	u.create("--name", "Acme", "--metric", "dollars", "--limit", "1", "--scope", "tenant=acme")
	u.runWith("{}", "reserve", "--id", "r", "--prices", "-", "--prices", "-").want(exitUsage).says("purser: --prices: - is standard input")
	u.runWith("{}", "import", "-", "--prices", "-").want(exitUsage).says("purser: file: - is standard input, which can be read only once\n")
}

func TestEveryRecordedResponseIsAnswered(t *testing.T) {
	u := newUser(t)
	recorded := testdata(t, "provider/testdata/provider_usages.json.gz")
	d := u.run("price", "--list", testdata(t, "price/testdata/genai_prices.json.gz"), "--usage", recorded, "--at", "2026-08-01T12:00:00Z", "--json")
	d.want(exitFailed).says("purser: … and 143 more\n").says("purser: of 789 responses 8 can't be read, 155 have no price\n")
	lines := d.lines()
	if len(lines) != 789 {
		t.Fatalf("%d responses are answered, want 789", len(lines))
	}
	has(t, "the first", lines[0], object{
		"provider": "anthropic", "api": "default", "input_tokens": literal("2743"), "output_tokens": literal("4"),
		"input_price": literal("0.008229"), "output_price": literal("0.00006"),
	})
	if _, err := os.Stat(filepath.Join(u.dir, "purser.db")); err == nil {
		t.Error("a database was made")
	}
}

func TestWhatComesWithoutACostIsPricedByAList(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	usage := u.write("usage.csv", "id,timestamp,tenant,resource,provider,input_tokens,output_tokens,cost\n"+
		"e1,2026-08-31T09:30:00Z,acme,gpt-5,,1000000,100000,\n"+
		"e2,2026-08-31T09:30:00Z,acme,gpt-5,,1000000,100000,7\n"+
		"e3,2026-08-31T09:30:00Z,acme,gpt-4,,1,1,\n"+
		"e4,2026-08-31T09:30:00Z,acme,nova,aws,1,1,\n")
	u.run("import", usage, "--prices", list).want(exitFailed).says("purser: usage.csv:4: no price of model \"gpt-4\"\n")
	has(t, "usage", u.ok("top", "--by", "tenant", "--json").list()[0], object{"requests": literal("3"), "cost": literal("9.2510003")})

	u.create("--name", "Acme", "--metric", "dollars", "--limit", "1000", "--scope", "tenant=acme")
	u.ok("reserve", "--id", "r1", "--tenant", "acme", "--resource", "nova", "--input-tokens", "1000000", "--prices", list)
	u.ok("settle", "r1", "--tenant", "acme", "--output-tokens", "1000000", "--prices", list)
	u.run("reserve", "--id", "r2", "--tenant", "acme", "--resource", "unheard-of", "--input-tokens", "1", "--prices", list).want(exitRefused)
	has(t, "usage", u.ok("top", "--by", "tenant", "--json").list()[0], object{"requests": literal("4"), "cost": literal("9.4920003")})
}

func TestPricesShowProgressUnlessTheyAreSeenThemselves(t *testing.T) {
	u := newUser(t)
	list := u.write("own.csv", ownPrices)
	file := u.write("usage.jsonl", strings.Repeat(`{"model":"gpt-5","usage":{"prompt_tokens":1,"completion_tokens":1}}`+"\n", 20_000))
	written := u.onTerminal(100, nil, "price", "--list", list, "--usage", file)
	if strings.Contains(written, "\x1b") || strings.Count(written, "\n") != 20_001 {
		t.Errorf("%d lines on the terminal, want the answers alone:\n%.500s", strings.Count(written, "\n"), written)
	}
	c := exec.Command("sh", "-c", `exec "$0" "$@" >answers`, binary, "price", "--list", list, "--usage", file)
	c.Dir, c.Env = u.dir, u.command().Env
	terminal, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var drawn strings.Builder
	_, _ = io.Copy(&drawn, terminal) // on Linux it ends with an error when the program does
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(drawn.String(), "price █") || screen(drawn.String()) != "" {
		t.Errorf("on the terminal is %.500q, want progress that leaves nothing", drawn.String())
	}
}
