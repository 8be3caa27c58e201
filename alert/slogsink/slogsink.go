// Package slogsink writes alerts to a log/slog logger. It is a package of its own, so that package alert knows of no log.
package slogsink

import (
	"context"
	"log/slog"

	"github.com/purser-go/purser/alert"
)

// New returns a sink that writes each alert as one record: its message, at level Error from critical on, Warn at warning,
// and Info below; a resolved one at Info. The attributes are those of the alert in JSON that tell budgets apart.
// A logger says nothing of what became of a record, so that writing it is all there is to arriving.
func New(l *slog.Logger) alert.Sink {
	return alert.Func(func(ctx context.Context, a alert.Alert) error {
		l.LogAttrs(ctx, level(a), a.Message, attributes(a)...)
		return nil
	})
}

func level(a alert.Alert) slog.Level {
	switch {
	case a.Kind == alert.Resolved:
		return slog.LevelInfo
	case a.Level >= alert.Critical, a.Kind == alert.Blocked:
		return slog.LevelError
	case a.Level == alert.Warning, a.Kind == alert.Forecast:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func attributes(a alert.Alert) []slog.Attr {
	attributes := []slog.Attr{
		slog.String("alert", a.ID),
		slog.Time("at", a.At),
		slog.String("kind", string(a.Kind)),
		slog.String("budget_level", a.Level.String()),
		slog.String("budget", a.Budget),
		slog.String("budget_name", a.BudgetName),
		slog.Any("scope", a.Scope),
		slog.Time("period_start", a.Period.Start),
		slog.Time("period_end", a.Period.End),
		slog.String("metric", string(a.Metric)),
		slog.String("used", a.Metric.Decimal(a.Used).String()),
		slog.String("limit", a.Metric.Decimal(a.Limit).String()),
	}
	if a.Kind == alert.Threshold || a.Kind == alert.Resolved {
		attributes = append(attributes, slog.String("threshold", a.Threshold.String()))
	}
	if a.Kind == alert.Forecast {
		attributes = append(attributes, slog.Time("expected_at", a.Expected))
	}
	if a.Late {
		attributes = append(attributes, slog.Bool("late", true))
	}
	return attributes
}
