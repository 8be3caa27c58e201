// Package webhook sends alerts over HTTP: signed by the Standard Webhooks scheme (www.standardwebhooks.com), or as messages
// that Slack and those who speak like it take.
//
// A receiver's address may come from a customer, so a sink connects to public addresses only. What a name stands for is
// checked when the connection is made, so that a name that resolves to a private address is refused too. No proxy is used,
// no redirect is followed, and of an answer nothing but its head is read.
package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/purser-go/purser/alert"
	"github.com/purser-go/purser/internal/invalid"
)

// Options configures a [Sink]. A nil *Options means all defaults.
type Options struct {
	// Allow are addresses that may be connected to although they are not public, for receivers in one's own network.
	// Defaults to none.
	Allow []netip.Prefix
	// Now returns the current time: that of the signature, and the one from which a Retry-After with a date counts.
	// Defaults to time.Now.
	Now func() time.Time
}

// A Sink posts alerts to a URL. It is an [alert.Sink].
//
// An alert has arrived if the answer's status is from 200 to 299. On 410 it is given up at once; on anything else it is
// tried again, not before a Retry-After of the answer. An error never holds the URL, which may be a secret.
type Sink struct {
	url    string
	client *http.Client
	now    func() time.Time
	keys   []*standardwebhooks.Webhook // nil: nothing is signed
	body   func(alert.Alert) ([]byte, error)
}

var _ alert.Sink = (*Sink)(nil)

// New returns a sink that posts to this URL, which is http or https, what [Payload] returns, signed by the Standard Webhooks
// scheme with each of the secrets: base64 of 24 to 64 random bytes, with or without "whsec_" in front. While a secret is being
// replaced there are two, so that a receiver accepts the alert with either. The message's id is the alert's.
// The error is usage.ErrInvalid with the fields url and secrets.
func New(url string, secrets []string, o *Options) (*Sink, error) {
	keys, err := keysOf(secrets)
	s, wrong := newSink(url, Payload, o)
	if err := errors.Join(wrong, err); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	s.keys = keys
	return s, nil
}

func newSink(url string, body func(alert.Alert) ([]byte, error), o *Options) (*Sink, error) {
	if err := validateURL(url); err != nil {
		return nil, err
	}
	if o == nil {
		o = &Options{}
	}
	s := &Sink{url: url, client: newClient(o.Allow), now: time.Now, body: body}
	if o.Now != nil {
		s.now = o.Now
	}
	return s, nil
}

func keysOf(secrets []string) ([]*standardwebhooks.Webhook, error) {
	const field, least, most = "secrets", 24, 64
	if len(secrets) == 0 {
		return nil, invalid.Field(field, "must not be empty")
	}
	var keys []*standardwebhooks.Webhook
	var errs []error
	for i, secret := range secrets {
		// The library takes any key, also an empty one.
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil || len(key) < least || len(key) > most {
			errs = append(errs, invalid.Field(fmt.Sprintf("%s[%d]", field, i), "must be whsec_ and base64 of %d to %d bytes", least, most))
			continue
		}
		signer, err := standardwebhooks.NewWebhookRaw(key)
		keys, errs = append(keys, signer), append(errs, err)
	}
	return keys, errors.Join(errs...)
}

func validateURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil: // the error has the URL in it
		return invalid.Field("url", "is no URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return invalid.Field("url", "must begin with https:// or http://")
	case u.Hostname() == "":
		return invalid.Field("url", "must name a host")
	case u.User != nil:
		return invalid.Field("url", "must not have a user in it")
	}
	return nil
}

// Payload returns what [New]'s sinks post: {"type": "alert.threshold", "timestamp": …, "data": …}, the type ending in the
// alert's kind, the timestamp being the alert's, the data the alert as it is written in JSON. It is the same each time.
func Payload(a alert.Alert) ([]byte, error) {
	return json.Marshal(struct {
		Type      string      `json:"type"`
		Timestamp time.Time   `json:"timestamp"`
		Data      alert.Alert `json:"data"`
	}{"alert." + string(a.Kind), a.At, a})
}

// Send implements [alert.Sink].
func (s *Sink) Send(ctx context.Context, a alert.Alert) error {
	body, err := s.body(a)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "purser")
	if err := s.sign(request.Header, a.ID, body); err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	// Not read: all that a receiver has to say is the status, and what it may send has no end.
	_ = answer.Body.Close()
	return s.judge(answer)
}

// sign sets the headers of the Standard Webhooks scheme.
func (s *Sink) sign(h http.Header, id string, body []byte) error {
	now := s.now()
	var signatures []string
	for _, key := range s.keys {
		signature, err := key.Sign(id, now, body)
		if err != nil {
			return err
		}
		signatures = append(signatures, signature)
	}
	if signatures != nil {
		h.Set(standardwebhooks.HeaderWebhookID, id)
		h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	}
	return nil
}

// judge says what an answer means.
func (s *Sink) judge(answer *http.Response) error {
	switch code := answer.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code == http.StatusGone:
		return fmt.Errorf("the receiver answered %s: %w", status(code), alert.ErrGone)
	default:
		err := fmt.Errorf("the receiver answered %s", status(code))
		if after, ok := retryAfter(answer.Header.Get("Retry-After"), s.now()); ok {
			return &alert.RetryAfterError{After: after, Err: err}
		}
		return err
	}
}

// status returns a code with its usual text rather than with the receiver's.
func status(code int) string { return strings.TrimSpace(fmt.Sprint(code, " ", http.StatusText(code))) }

// retryAfter reads a number of seconds, or a date. More seconds than a Duration has are as many as it has.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		const most = int64(math.MaxInt64 / time.Second)
		return time.Duration(min(seconds, most)) * time.Second, seconds >= 0
	}
	date, err := http.ParseTime(text)
	return date.Sub(now), err == nil && date.After(now)
}

// withoutURL returns what went wrong without where, which the client puts in front.
func withoutURL(err error) error {
	var located *url.Error
	if errors.As(err, &located) {
		return located.Err
	}
	return err
}
