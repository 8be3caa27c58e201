package usage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// A Hash identifies the content of an [Event] or a [Correction]: two contents are the same when their hashes are.
type Hash [32]byte

const hashVersion = 1

// Version returns the version of the form that was hashed. Hashes of two versions say nothing about each other: compare the
// contents, see [Event.Canonical].
func (h Hash) Version() byte { return h[0] }

// String returns h in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Hash returns the hash of what the caller gave, in canonical form: id, time or that it was not given, subject, amounts with
// the defaults filled in, cost or that it is to be priced. e must be valid; whatever has the same [Event.Canonical] has the
// same Hash.
func (e Event) Hash() Hash {
	var space [1024]byte
	b := appendText(append(space[:0], 'e'), e.ID)
	b = appendOptional(b, !e.Time.IsZero(), canonicalTime(e.Time).UnixMicro())
	for _, value := range [...]string{e.Tenant, e.User, e.APIKey, e.Resource} {
		b = appendText(b, value)
	}
	b = appendLabels(b, e.Labels)
	totals, _ := e.Totals()
	return sealed(appendTotals(b, totals, e.Cost != nil))
}

// Hash returns the hash of what the caller gave, in canonical form. It never equals that of an [Event]. c must be valid.
func (c Correction) Hash() Hash {
	var space [1024]byte
	b := append(space[:0], 'c')
	for _, value := range [...]string{c.ID, c.Tenant, c.Event, c.Reason} {
		b = appendText(b, value)
	}
	totals, _ := c.Totals()
	return sealed(appendTotals(b, totals, true))
}

func sealed(content []byte) Hash {
	h := Hash(sha256.Sum256(content))
	h[0] = hashVersion
	return h
}

// Every text goes behind its length, so that no two lists of texts look alike.
func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendOptional(b []byte, given bool, n int64) []byte {
	if !given {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), n)
}

func appendLabels(b []byte, labels map[string]string) []byte {
	var space [maxLabels]string
	names := space[:0]
	for name, value := range labels {
		if value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = appendText(appendText(b, name), labels[name])
	}
	return b
}

func appendTotals(b []byte, t Totals, costGiven bool) []byte {
	for _, n := range [...]int64{
		t.InputTokens, t.OutputTokens, t.CacheCreationTokens, t.CacheReadTokens, t.TotalTokens, t.Requests, t.Runs,
	} {
		b = binary.AppendVarint(b, n)
	}
	return appendOptional(b, costGiven, t.Nanodollars)
}
