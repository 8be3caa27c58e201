package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/purser-go/purser/internal/invalid"
	"github.com/purser-go/purser/internal/jsonread"
)

// A cloudEvent is an event by the CloudEvents specification, version 1.0. Its data has the members of an event but for id and
// time. What it is recorded as:
//
//   - The id is made from source and id, which together are what makes a cloud event one.
//   - The time is its time.
//   - The user is its subject, unless data has one.
//
// Its type and its extension attributes mean nothing here.
type cloudEvent struct {
	version, id, source, kind, subject string

	time        time.Time
	contentType string
	data        json.RawMessage
}

const maxCloudEvent = 64 << 10 // bytes

// readCloudEvent reads a cloud event in the JSON format.
func readCloudEvent(text json.RawMessage) sentEvent {
	var e cloudEvent
	err := jsonread.Object("event", text, maxCloudEvent, e.readMember)
	return e.event(err)
}

func (e *cloudEvent) readMember(name string, value json.RawMessage) error {
	var unused string
	switch name {
	case "specversion":
		return jsonread.Text(name, value, &e.version)
	case "id":
		return jsonread.Text(name, value, &e.id)
	case "source":
		return jsonread.Text(name, value, &e.source)
	case "type":
		return jsonread.Text(name, value, &e.kind)
	case "subject":
		return jsonread.Text(name, value, &e.subject)
	case "time":
		return jsonread.Time(name, value, &e.time)
	case "datacontenttype":
		return jsonread.Text(name, value, &e.contentType)
	case "dataschema":
		return jsonread.Text(name, value, &unused)
	case "data":
		e.data = value
		return nil
	}
	if !isExtension(name) {
		return jsonread.UnknownMember(name)
	}
	return nil
}

// isExtension reports whether an attribute may have this name by the specification: data_base64 may not.
func isExtension(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// binaryCloudEvent reads a cloud event whose attributes are headers and whose data is the body.
func binaryCloudEvent(header http.Header, body []byte) sentEvent {
	e := cloudEvent{data: body, contentType: header.Get("Content-Type")}
	var errs []error
	var at string
	for _, attribute := range []struct {
		name string
		to   *string
	}{
		{"specversion", &e.version}, {"id", &e.id}, {"source", &e.source}, {"type", &e.kind}, {"subject", &e.subject}, {"time", &at},
	} {
		errs = append(errs, readAttribute(header, attribute.name, attribute.to))
	}
	if at != "" && e.time.UnmarshalText([]byte(at)) != nil {
		errs = append(errs, invalid.Field("time", "must be an RFC 3339 time such as 2026-03-01T09:30:00Z"))
	}
	return e.event(errors.Join(errs...))
}

// readAttribute reads an attribute that is a header, whose value is percent-encoded.
func readAttribute(header http.Header, name string, to *string) error {
	text, err := url.PathUnescape(header.Get("Ce-" + name))
	if err != nil {
		return invalid.Field(name, "is not well percent-encoded")
	}
	*to = text
	return nil
}

// event returns what the cloud event is recorded as. err is what was wrong with how it was written.
func (e *cloudEvent) event(err error) (sent sentEvent) {
	if err == nil {
		err = e.validate()
	}
	if err == nil {
		err = within("data", sent.UnmarshalJSON(e.data))
	}
	if err != nil {
		sent.err = err
		return sent
	}
	if sent.ID != "" {
		sent.err = jsonread.UnknownMember("data.id")
	}
	if !sent.Time.IsZero() {
		sent.err = errors.Join(sent.err, jsonread.UnknownMember("data.time"))
	}
	sent.ID, sent.Time = cloudEventID(e.source, e.id), e.time
	if sent.User == "" {
		sent.User = e.subject
	}
	return sent
}

func (e *cloudEvent) validate() error {
	var errs []error
	if e.version != "1.0" {
		errs = append(errs, invalid.Field("specversion", `must be "1.0"`))
	}
	for _, attribute := range []struct{ name, value string }{{"id", e.id}, {"source", e.source}, {"type", e.kind}} {
		if attribute.value == "" {
			errs = append(errs, invalid.Field(attribute.name, "must not be empty"))
		}
	}
	if kind, _, err := mime.ParseMediaType(e.contentType); e.contentType != "" && (err != nil || !isJSON(kind)) {
		errs = append(errs, invalid.Field("datacontenttype", "must be application/json"))
	}
	if !bytes.HasPrefix(bytes.TrimSpace(e.data), []byte("{")) {
		errs = append(errs, invalid.Field("data", "must be a JSON object"))
	}
	return errors.Join(errs...)
}

func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

// cloudEventIDs is what the ids of cloud events are made in.
var cloudEventIDs = uuid.MustParse("6f0b7a0e-6f3c-5d0b-9a77-3d0c0c7f6f11")

// cloudEventID returns the id of the event that a cloud event is recorded as. The source's length stands before it, so that
// no two pairs are written alike.
func cloudEventID(source, id string) string {
	name := binary.AppendUvarint(nil, uint64(len(source)))
	return uuid.NewSHA1(cloudEventIDs, append(append(name, source...), id...)).String()
}
