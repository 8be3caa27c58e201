// Package trace holds the requests that a real service of language models answered in one hour, and deals them out to
// tenants, users and keys that are invented.
package trace

import (
	"bytes"
	_ "embed"
	"strings"
)

//go:embed azure2023_requests.csv.gz
var requests []byte

//go:embed ATTRIBUTION
var attribution string

// Attribution is the line that goes wherever the requests go.
func Attribution() string { return strings.TrimSpace(attribution) }

// Requests returns a gzipped CSV file with the columns timestamp, service, input_tokens and output_tokens. The service is
// conv or code.
func Requests() *bytes.Reader { return bytes.NewReader(requests) }
