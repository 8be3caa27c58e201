package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// given is how the summary names the environment of TestReport.
const given = "PURSER_SOAK= RAPID_CHECKS=100 RAPID_SEED=7\n"

func TestReport(t *testing.T) {
	tests := map[string]struct{ events, want string }{
		"what a passing test prints is not shown, its counts are": {
			`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"attr","Package":"p","Test":"TestA","Key":"count","Value":"50 reserves"}
{"Action":"attr","Package":"p","Test":"TestA","Key":"other","Value":"x"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`,
			"ok  \tp\t0.1s\n" +
				"\ntests: 1 passed, 0 failed, 0 left out; packages: 1; " + given +
				"counts:\n    p  TestA: 50 reserves\nleft out: nothing\n",
		},
		"of a failing package the failing tests are shown": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: wrong\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"panic: never ended\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`,
			"    b_test.go:9: wrong\n--- FAIL: TestB (0.00s)\npanic: never ended\nFAIL\tp\t0.1s\n" +
				"\ntests: 1 passed, 1 failed, 0 left out; packages: 1; " + given + "left out: nothing\n",
		},
		"what was left out is named by its reason": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: needs Postgres\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`,
			"\ntests: 0 passed, 0 failed, 2 left out; packages: 0; " + given +
				"left out: for no stated reason (1); needs Postgres (1)\n",
		},
		"a package that does not build is shown": {
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"./p.go:2:9: syntax error\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`,
			"./p.go:2:9: syntax error\nFAIL\tp [build failed]\n" +
				"\ntests: 0 passed, 0 failed, 0 left out; packages: 1; " + given + "left out: nothing\n",
		},
		"what is no event is shown as it is": {
			"not an event\n",
			"not an event\n" +
				"\ntests: 0 passed, 0 failed, 0 left out; packages: 0; " + given + "left out: nothing\n",
		},
	}
	t.Setenv("PURSER_SOAK", "")
	t.Setenv("RAPID_CHECKS", "100")
	t.Setenv("RAPID_SEED", "7")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			report := newReport(&out)
			if err := read(strings.NewReader(test.events), report); err != nil {
				t.Fatal(err)
			}
			report.summarize()
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}
