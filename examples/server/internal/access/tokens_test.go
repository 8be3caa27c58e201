package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/examples/server/internal/access"
)

func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestReadTokens(t *testing.T) {
	sum := sha256.Sum256([]byte("another"))
	tokens, err := access.ReadTokens([]byte(`[
		{"token": "one-secret", "user": "ada", "tenant": "acme", "permissions": ["platform:*"], "api_keys": ["k1", "k2"]},
		{"sha256": "` + strings.ToUpper(hex.EncodeToString(sum[:])) + `", "user": "0", "tenant": null}
	]`))
	if err != nil {
		t.Fatal(err)
	}
	guard := access.NewGuard(tokens, false, func() time.Time { return noon })
	for token, want := range map[string]access.Caller{
		"one-secret": {User: "ada", Tenant: "acme", Permissions: []string{"platform:*"}, APIKeys: []string{"k1", "k2"}},
		"another":    {User: "0"},
	} {
		got, err := guard.Authenticate(bearer(token))
		if err != nil {
			t.Fatalf("%q: %v", token, err)
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", token, diff)
		}
	}
}

func TestReadTokensRefuses(t *testing.T) {
	const fine = `"token": "a-secret", "user": "ada"`
	for name, test := range map[string]struct{ text, want string }{
		"what is no list":        {`{}`, "tokens: must be a JSON list"},
		"null":                   {`null`, "tokens: must be a JSON list"},
		"what is no JSON":        {`[`, "tokens: must be a JSON list"},
		"an entry of text":       {`["x"]`, "entry 1: entry: must be a JSON object"},
		"no token":               {`[{"user": "ada"}]`, "entry 1: token: must be there, or sha256"},
		"both token and sum":     {`[{` + fine + `, "sha256": "00"}]`, "entry 1: token: must not be there beside sha256"},
		"a token with a space":   {`[{"token": "a secret", "user": "ada"}]`, "entry 1: token: must have up to 512 visible ASCII characters and no space"},
		"a sum that is short":    {`[{"sha256": "abcd", "user": "ada"}]`, "entry 1: sha256: must have 64 hexadecimal digits"},
		"no user":                {`[{"token": "a-secret"}]`, "entry 1: user: must not be empty"},
		"an unknown member":      {`[{` + fine + `, "role": "root"}]`, "entry 1: role: is not a known field"},
		"permissions of numbers": {`[{` + fine + `, "permissions": [1]}]`, "entry 1: permissions[0]: must be a string\npermissions[0]: must not be empty"},
		"keys that are no list":  {`[{` + fine + `, "api_keys": "k"}]`, "entry 1: api_keys: must be a list of strings"},
		"one token for two":      {`[{` + fine + `}, {"token": "a-secret", "user": "bob"}]`, "entry 2: token: stands in the list twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := access.ReadTokens([]byte(test.text))
			if !errors.Is(err, budget.ErrInvalid) {
				t.Fatalf("%v, want ErrInvalid", err)
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "a-secret") {
				t.Errorf("%v repeats a token", err)
			}
		})
	}
}
