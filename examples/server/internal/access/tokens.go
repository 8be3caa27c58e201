package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

// Tokens are the tokens that are known, by their SHA-256: the tokens themselves are not kept. Tokens does not change and is
// safe for concurrent use.
type Tokens struct {
	callers map[hash]*holder
}

type hash = [sha256.Size]byte

type holder struct {
	Caller
	hash hash
}

// ReadTokens reads a JSON list of {"token" or "sha256", "user", "tenant", "permissions", "api_keys"}. A token is up to
// 512 visible ASCII characters; "sha256" is that of a token, in hexadecimal. No tenant, or "", is the platform's.
//
// Errors: ErrInvalid, which names the entry and the field and repeats no token.
func ReadTokens(text []byte) (*Tokens, error) {
	var entries []json.RawMessage
	if json.Unmarshal(text, &entries) != nil || entries == nil {
		return nil, invalid.Field("tokens", "must be a JSON list")
	}
	t := &Tokens{callers: make(map[hash]*holder)}
	var errs []error
	for i, entry := range entries {
		if err := t.read(entry); err != nil {
			errs = append(errs, fmt.Errorf("entry %d: %w", i+1, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// NewTokens returns tokens of one caller.
func NewTokens(token string, c Caller) *Tokens {
	of := sha256.Sum256([]byte(token))
	return &Tokens{callers: map[hash]*holder{of: {Caller: c, hash: of}}}
}

const (
	maxToken = 512
	maxEntry = 1 << 20
)

func (t *Tokens) read(entry json.RawMessage) error {
	var token, sum string
	c := &holder{}
	err := jsonread.Object("entry", entry, maxEntry, func(name string, value json.RawMessage) error {
		switch name {
		case "token":
			return jsonread.Text(name, value, &token)
		case "sha256":
			return jsonread.Text(name, value, &sum)
		case "user":
			return jsonread.Text(name, value, &c.User)
		case "tenant":
			return jsonread.Text(name, value, &c.Tenant)
		case "permissions":
			return readNames(name, value, &c.Permissions)
		case "api_keys":
			return readNames(name, value, &c.APIKeys)
		default:
			return jsonread.UnknownMember(name)
		}
	})
	if err != nil {
		return err
	}
	c.hash, err = hashOf(token, sum)
	if err := errors.Join(err, invalid.Name("user", c.User), invalid.OptionalName("tenant", c.Tenant)); err != nil {
		return err
	}
	if t.callers[c.hash] != nil {
		return invalid.Field("token", "stands in the list twice")
	}
	t.callers[c.hash] = c
	return nil
}

func hashOf(token, sum string) (of hash, err error) {
	switch {
	case token == "" && sum == "":
		return of, invalid.Field("token", "must be there, or sha256")
	case token != "" && sum != "":
		return of, invalid.Field("token", "must not be there beside sha256")
	case token != "":
		if !validToken(token) {
			return of, invalid.Field("token", "must have up to %d visible ASCII characters and no space", maxToken)
		}
		return sha256.Sum256([]byte(token)), nil
	}
	decoded, err := hex.DecodeString(sum)
	if err != nil || len(decoded) != sha256.Size {
		return of, invalid.Field("sha256", "must have %d hexadecimal digits", 2*sha256.Size)
	}
	return hash(decoded), nil
}

func validToken(token string) bool {
	if token == "" || len(token) > maxToken {
		return false
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func readNames(name string, value json.RawMessage, to *[]string) error {
	if jsonread.IsNull(value) {
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(value, &items) != nil {
		return invalid.Field(name, "must be a list of strings")
	}
	names := make([]string, len(items))
	var errs []error
	for i, item := range items {
		field := fmt.Sprintf("%s[%d]", name, i)
		errs = append(errs, jsonread.Text(field, item, &names[i]), invalid.Name(field, names[i]))
	}
	*to = names
	return errors.Join(errs...)
}

// caller returns whose token it is, nil if it is nobody's. How long it takes says nothing about a token: what is looked up
// is its hash, and an unknown one is compared as a known one is.
func (t *Tokens) caller(given hash) *Caller {
	known := t.callers[given]
	var of hash
	if known != nil {
		of = known.hash
	}
	if subtle.ConstantTimeCompare(of[:], given[:]) != 1 || known == nil {
		return nil
	}
	return &known.Caller
}
