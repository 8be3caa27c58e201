package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestWrongUsageExitsWith2AndSaysWhatIsRight(t *testing.T) {
	u := newUser(t)
	u.ok("migrate")
	const create = "budget create --name x --metric tokens --limit 5 "
	tests := map[string]string{
		"":                               "purser: purser needs a command\n",
		"spend":                          `purser: purser has no command "spend"; purser --help lists those that there are`,
		"budget":                         "purser: purser budget needs a command\n",
		"budget pay":                     `purser: purser budget has no command "pay"`,
		"status --foo":                   "purser: unknown flag: --foo\n",
		"budget show":                    "purser: purser budget show needs the id of a budget\n",
		"budget show a b":                `purser: purser budget show takes no argument "b"`,
		"migrate x":                      `purser: purser migrate takes no argument "x"`,
		"import":                         "purser: purser import needs a file, or - for standard input\n",
		"--db mysql:x status":            "purser: --db: must begin with sqlite: or postgres://\n",
		"--db sqlite: import -":          "purser: --db: must name a file, as in sqlite:budgets.db\n",
		"demo --db postgres://localhost": "purser: --db: must name a new SQLite file, such as sqlite:demo.db\n",
		"status --at noon":               `purser: invalid argument "noon" for "--at" flag: must be a time such as 2026-03-01T09:30:00Z or a date such as 2026-03-01`,
		"status --at 0001-01-01":         `purser: invalid argument "0001-01-01" for "--at" flag: must lie in the years 1980 to 2199`,
		"status --at 2200-01-02":         `for "--at" flag: must lie in the years 1980 to 2199`,
		"status --value user":            `purser: invalid argument "user" for "--value" flag: must be dimension=value`,
		"status --value user=ada":        "purser: --value: goes with the id of a budget\n",
		"top":                            `purser: required flag(s) "by" not set`,
		"top --by team":                  "purser: --by: must be tenant, user, api_key or resource\n",
		"top --by user --metric coins":   `for "--metric" flag: must be one of [tokens `,
		"top --by user --limit -1":       `purser: invalid argument "-1" for "--limit" flag: must be a whole number above 0`,
		"alerts --limit 0":               `for "--limit" flag: must be a whole number above 0`,
		"audit --limit many":             `for "--limit" flag: must be a whole number above 0`,
		"top --by user --metric credits": "purser: --metric: must be a metric other than credits\n",
		"top --by user --from 2026-03-02 --to 2026-03-01":                             "purser: --from: must begin before it ends",
		"history x --by year":                                                         "purser: --by: must be one of hour, day, week and month\n",
		"history x --zone Europe/Berlim":                                              `for "--zone" flag: "Europe/Berlim" is `,
		"import - --map resorce=service":                                              `purser: --map: "resorce" is no field, those are id, timestamp, tenant`,
		"import - --map resource=a --map resource=b":                                  "names resource twice",
		"import - --tenant " + strings.Repeat("x", 129):                               "purser: --tenant: has 129 bytes, at most 128 are allowed\n",
		"budget create --name x":                                                      `purser: required flag(s) "metric", "limit" not set`,
		"budget create --name x --metric coins --limit 5":                             `purser: invalid argument "coins" for "--metric" flag: must be one of [tokens `,
		"budget create --name x --metric tokens --limit 0":                            "purser: --limit: must be greater than 0\n",
		"budget create --name x --metric tokens --limit 1.5":                          "purser: --limit: must be a whole number\n",
		"budget create --name x --metric tokens --limit NaN":                          `invalid argument "NaN" for "--limit" flag: must be a number such as 12.5`,
		"budget create --name x --metric dollars --limit 1e999":                       `for "--limit" flag: has an exponent beyond 64`,
		"budget create --name x --metric dollars --limit " + strings.Repeat("9", 100): "a number has at most 64",
		create + "--period fortnightly":                                               `invalid argument "fortnightly" for "--period" flag: `,
		create + "--period monthly:32":                                                `invalid argument "monthly:32" for "--period" flag: `,
		create + "--period every:6h":                                                  `invalid argument "every:6h" for "--period" flag: anchor: must lie in the years 1980 to 2199`,
		create + "--period yearly:13-40":                                              `for "--period" flag: start_day: must be 1 to 31, is 40; start_month: must be 1 to 12, is 13`,
		create + "--zone Mars/Olympus":                                                `invalid argument "Mars/Olympus" for "--zone" flag: `,
		create + "--scope user":                                                       "must be dimension=value",
		create + "--scope user=":                                                      "nothing follows the =",
		create + "--scope user=a --scope user=b":                                      "names user twice",
		create + "--except user=root":                                                 "purser: --except: the scope does not have this dimension as each\n",
		create + "--warning 101":                                                      "purser: --warning: must be from 0 to 100\n",
		create + "--threshold x":                                                      "purser: --threshold: must be a number such as 12.5\n",
		create + "--threshold 5 --threshold 5":                                        "purser: --threshold: has 5 twice\n",
		create + "--enforcement firm":                                                 `purser: --enforcement: is "firm", must be hard, soft or observe`,
		create + "--metadata [1]":                                                     "purser: --metadata: must be a JSON object\n",
		create + "--cost-per-credit 1":                                                "purser: --cost-per-credit: is for budgets on credits only\n",
		create + "--starts-at 2026-03-02 --ends-at 2026-03-01":                        "purser: --ends-at: must be after starts_at\n",
		"budget list --enabled --disabled":                                            "if any flags in the group [enabled disabled] are set none of the others can be",
		"budget list --metric coins":                                                  `purser: invalid argument "coins" for "--metric" flag: must be one of [tokens `,
		"adjust x":                                                                    `purser: required flag(s) "amount", "reason" not set`,
		"adjust x --amount 0 --reason r":                                              "purser: --amount: must not be 0\n",
		"correct e1 --reason r":                                                       "at least one of the flags in the group [input-tokens",
		"correct e1 --runs 1.5 --reason r":                                            `invalid argument "1.5" for "--runs" flag: must be a whole number`,
		"correct e1 --runs -1 --reason r":                                             "purser: --runs: must not be negative\n",
		"tenant":                                                                      "purser: purser tenant needs a command\n",
		"tenant put":                                                                  "purser: purser tenant put needs the id of a tenant\n",
		"license create":                                                              `purser: required flag(s) "tenant" not set`,
		"license create --tenant a --credits -1":                                      "purser: --credits: must not be negative\n",
		"license create --tenant a --cost-per-credit 0":                               "purser: --cost-per-credit: must be greater than 0\n",
		"license create --tenant a --money 1e-10":                                     "purser: --money: ",
		"license create --tenant a --warning 101":                                     "purser: --warning: must be from 0 to 100\n",
		"license create --tenant a --active --inactive":                               "if any flags in the group [active inactive] are set none of the others can be",
		"report groups --by team":                                                     `invalid argument "team" for "--by" flag: must be tenant, user, api_key or resource`,
		"report groups --by user --by user":                                           "purser: --by: must be of tenant, user, api_key and resource, each once\n",
		"report groups --per year":                                                    `for "--per" flag: must be one of hour, day, week and month`,
		"report groups --from 2026-03-02 --to 2026-03-01":                             "purser: --from: must begin before it ends",
		"report months":                                                               "purser: purser report months needs the id of a tenant\n",
		"export --format xml":                                                         `for "--format" flag: must be one of csv, focus, jsonl`,
		"prune":                                                                       "at least one of the flags in the group [before keep-days] is required",
		"prune --keep-days 6":                                                         "--keep-days: must be at least 7",
		"migrate --reporting-zone Nowhere":                                            "Nowhere",
	}
	for args, says := range tests {
		t.Run(args, func(t *testing.T) {
			u := user{t: t, dir: u.dir}
			d := u.run(strings.Fields(args)...).want(exitUsage).says(says)
			if d.stdout != "" {
				t.Errorf("stdout is %q, want nothing", d.stdout)
			}
		})
	}
}

func TestFailuresExitWith1AndSayWhatToDo(t *testing.T) {
	u := newUser(t)
	u.ok("migrate")
	u.write("text.db", strings.Repeat("this is no database ", 100))
	u.write("empty.db", "")
	tests := map[string]string{
		"budget show x":                                 "purser: budget \"x\": not found\n",
		"budget update x --limit 5":                     "purser: update budget \"x\": not found\n",
		"budget delete x":                               "purser: delete budget \"x\": not found\n",
		"status x":                                      "purser: budget \"x\": not found\n",
		"history x":                                     "purser: budget \"x\": not found\n",
		"adjust x --amount 1 --reason r":                "purser: adjust budget \"x\": not found\n",
		"import none.csv":                               "purser: none.csv: no such file or directory\n",
		"status --db sqlite:none.db":                    "purser: there is no database none.db: import and budget create make one, --db names another\n",
		"status --db sqlite:.":                          "is a directory",
		"status --db sqlite:text.db":                    "text.db",
		"status --db sqlite:empty.db":                   "; purser migrate brings older tables up to date\n",
		"demo --db sqlite:purser.db":                    "purser: purser.db exists: the demo wants a file of its own",
		"status --db postgres://u:secret@127.0.0.1:1/x": "127.0.0.1",
	}
	for args, says := range tests {
		t.Run(args, func(t *testing.T) {
			u := user{t: t, dir: u.dir}
			d := u.run(append(strings.Fields(args), "--json")...).want(exitFailed).says(says)
			if d.stdout != "" && !strings.HasPrefix(args, "import") {
				t.Errorf("stdout is %q, want nothing", d.stdout)
			}
			if strings.Contains(d.stderr, "secret") {
				t.Errorf("stderr has the password: %s", d.stderr)
			}
		})
	}
}

func TestTheDatabaseIsThatOfTheFlagElseOfTheEnvironment(t *testing.T) {
	u := newUser(t)
	u.db = "sqlite:environment.db"
	u.create("--name", "one", "--metric", "tokens", "--limit", "5")
	u.ok("budget", "create", "--db", "sqlite:flag.db", "--name", "two", "--metric", "tokens", "--limit", "5")
	for _, test := range []struct {
		flags []string
		want  string
	}{
		{nil, "one"},
		{[]string{"--db", "sqlite:environment.db"}, "one"},
		{[]string{"--db", "sqlite:flag.db"}, "two"},
	} {
		list := u.ok(append([]string{"budget", "list", "--json"}, test.flags...)...).list()
		if len(list) != 1 || list[0]["name"] != test.want {
			t.Errorf("with %v: budgets %v, want %s", test.flags, list, test.want)
		}
	}
	if help := u.ok("--help").stdout; strings.Contains(help, "environment.db") {
		t.Errorf("help shows the URL, which may have a password:\n%s", help)
	}
}

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs a device that is always full: ", err)
	}
	defer full.Close()
	u := newUser(t)
	u.create("--name", "one", "--metric", "tokens", "--limit", "5")
	for _, args := range []string{"status", "budget list --json", "top --by user", "verify", "--help"} {
		c := u.command(strings.Fields(args)...)
		var stderr bytes.Buffer
		c.Stdout, c.Stderr = full, &stderr
		_ = c.Run() // its exit code is checked below
		d := done{t: t, args: c.Args[1:], code: c.ProcessState.ExitCode(), stderr: stderr.String()}
		d.want(exitFailed).says("no space left on device\n")
	}
}

func TestMessagesAreLinesThatCannotSteerATerminal(t *testing.T) {
	tests := map[string]string{
		"a\tb\nc":         "a b c",
		"a\x1b[2Jb":       "a\ufffd[2Jb",
		"a\u202eb\u200bc": "a\ufffdb\ufffdc",
		"日本語🙂":            "日本語🙂",
		"is " + strings.Repeat("x", 5000) + ": wrong": "is " + strings.Repeat("x", 497) + "…" + strings.Repeat("x", 493) + ": wrong",
	}
	for text, want := range tests {
		var stderr bytes.Buffer
		(&program{stderr: &stderr}).complain("%s", text)
		if got, want := stderr.String(), "purser: "+want+"\n"; got != want {
			t.Errorf("%.20q is written %q, want %q", text, got, want)
		}
	}
}
