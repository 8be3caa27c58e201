package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/purser-go/purser/alert"
)

// NewSlack returns a sink that posts to the URL of an incoming webhook of Slack, or of one that takes the same JSON, what
// [SlackPayload] returns. It is not signed: who knows the URL may post. A message that is sent twice is shown twice.
// The error is usage.ErrInvalid with the field url.
func NewSlack(url string, o *Options) (*Sink, error) {
	s, err := newSink(url, SlackPayload, o)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return s, nil
}

// SlackPayload returns {"text": …} with a sign for the level, the alert's message, and a line with the amounts, the scope and
// the period.
func SlackPayload(a alert.Alert) ([]byte, error) {
	text := fmt.Sprintf("%s %s\n%s of %s %s", sign(a), a.Message, a.Metric.Decimal(a.Used), a.Metric.Decimal(a.Limit), a.Metric)
	for _, d := range slices.Sorted(maps.Keys(a.Scope)) {
		text += fmt.Sprintf(", %s %s", d, a.Scope[d])
	}
	const layout = "2006-01-02 15:04 MST"
	text += fmt.Sprintf(", from %s to %s", a.Period.Start.Format(layout), a.Period.End.Format(layout))
	return json.Marshal(map[string]string{"text": escape.Replace(text)})
}

// escape replaces what Slack takes for markup: without it, a budget's name could call a whole channel.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func sign(a alert.Alert) string {
	switch {
	case a.Kind == alert.Resolved:
		return ":white_check_mark:"
	case a.Kind == alert.Blocked:
		return ":no_entry:"
	case a.Kind == alert.Forecast:
		return ":chart_with_upwards_trend:"
	case a.Level >= alert.Critical:
		return ":rotating_light:"
	default:
		return ":warning:"
	}
}
