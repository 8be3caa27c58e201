package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/purser-go/purser/internal/invalid"
)

// tag says which version the answer is of, for If-Match.
func (c *call) tag(version int64) { c.writer.Header().Set("ETag", etag(version)) }

func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// A match is what If-Match expects: one of some tags. nil expects nothing.
type match []string

// ifMatch reads the If-Match header, a list of entity tags or *.
func (c *call) ifMatch() (match, error) {
	rest := strings.Join(c.Header.Values("If-Match"), ",")
	if strings.Trim(rest, " \t*") == "" {
		return nil, nil
	}
	tags := match{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return tags, nil
		}
		quoted, weak := strings.CutPrefix(rest, "W/")
		end := strings.IndexByte(strings.TrimPrefix(quoted, `"`), '"')
		if quoted[:min(1, len(quoted))] != `"` || end < 0 {
			return nil, invalid.Field("If-Match", `must be a tag as ETag gave it, such as "3" in quotes`)
		}
		if end += len(`""`); !weak {
			tags = append(tags, quoted[:end])
		}
		rest = quoted[end:]
	}
}

// check refuses a version that is not expected.
func (m match) check(version int64) error {
	if m == nil {
		return nil
	}
	for _, tag := range m {
		if tag == etag(version) {
			return nil
		}
	}
	return &Problem{Status: http.StatusPreconditionFailed, Detail: "If-Match names another version than the current one, " + etag(version) + "."}
}
