package api

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/purser-go/purser/budget"
	"github.com/purser-go/purser/internal/invalid"
)

// onceIDs is what the ids of things are made in that a request with an idempotency key makes.
var onceIDs = uuid.MustParse("1d1c0c54-4d0e-5b0c-8a55-9c1a5d1f6c02")

// maxIdempotencyKey is the length of the longest idempotency key.
const maxIdempotencyKey = 255

// once is what an idempotency key makes of a request: what such a request makes has ids that follow from the key, which is
// the caller's for this path, so that it is never made twice. The zero once is that of a request without a key.
type once struct{ uuid uuid.UUID }

// readOnce reads the request's idempotency key.
func (c *call) readOnce() error {
	key, err := idempotencyKey(c.Header)
	if key == "" || err != nil {
		return err
	}
	var name []byte
	for _, part := range []string{c.caller.Tenant, c.caller.User, c.Method, strings.TrimSuffix(c.URL.EscapedPath(), "/"), key} {
		name = append(binary.AppendUvarint(name, uint64(len(part))), part...)
	}
	c.once.uuid = uuid.NewSHA1(onceIDs, name)
	return nil
}

// claim claims the idempotency key, if there is one, for the request: 422 if it stands for another body. Each POST does so
// when nothing but what is stored can be in its way; if it is refused then, it may be sent again as it is. again says that it
// was under way before: what it makes may be there, or may have been and be gone.
func (c *call) claim() (again bool, err error) {
	if c.once == (once{}) {
		return false, nil
	}
	request := append(binary.AppendUvarint(nil, uint64(len(c.URL.RawQuery))), c.URL.RawQuery...)
	again, err = c.ledger.ClaimKey(c.Context(), c.once.id(), append(request, c.body...))
	if errors.Is(err, budget.ErrConflict) {
		err = invalid.Field("Idempotency-Key", "stands for another request")
	}
	return again, err
}

// madeJustNow returns nil where what stands under the request's id can have been made by the same request, sent twice at the
// same time. Else it is of a request so long ago that its key is forgotten, and may be of another body.
func (c *call) madeJustNow(at time.Time) error {
	if c.api.Now().Sub(at) <= 2*requestTimeout {
		return nil
	}
	return &Problem{
		Status: http.StatusConflict,
		Detail: "The Idempotency-Key was used for something that was made longer ago than keys are kept.",
	}
}

// idempotencyKey returns the key that a request brings, "" if it brings none.
func idempotencyKey(header http.Header) (string, error) {
	keys := header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	key := keys[len(keys)-1]
	if key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", invalid.Field("Idempotency-Key", "must have 1 to %d visible ASCII characters", maxIdempotencyKey)
	}
	return key, nil
}

// id returns the id of what the request makes: "" without a key, for whoever makes it to choose one.
func (o once) id() string {
	if o.uuid == uuid.Nil {
		return ""
	}
	return o.uuid.String()
}

// idOf returns the id of one of many that the request makes.
func (o once) idOf(i int) string {
	if o.uuid == uuid.Nil {
		return ""
	}
	return uuid.NewSHA1(o.uuid, []byte(strconv.Itoa(i))).String()
}
