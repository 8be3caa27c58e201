package alert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A courier serves one sink, so that one that hangs keeps no other waiting.
type courier struct {
	*Dispatcher
	name string
	sink Sink
	wake chan struct{} // holds a token if there may be something to do
}

// ring makes the courier look at the outbox.
func (c *courier) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// serve delivers what is due until ctx ends.
func (c *courier) serve(ctx context.Context) {
	trying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var tries sync.WaitGroup
	busy := make(chan struct{}, c.options.Concurrency)
	ticker := time.NewTicker(c.options.Interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		begun := time.Now()
		for _, d := range c.claim(ctx, cap(busy)-len(busy)) {
			busy <- struct{}{}
			tries.Go(func() {
				c.try(trying, begun, d)
				<-busy
				c.ring() // the next of its line may be due
			})
		}
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-ticker.C:
		}
	}
	defer time.AfterFunc(grace, cancel).Stop()
	tries.Wait()
}

func (c *courier) claim(ctx context.Context, limit int) []Delivery {
	if limit == 0 {
		return nil
	}
	claimed, err := c.outbox.Claim(ctx, c.name, limit, 2*c.options.Timeout)
	c.fine(ctx, err)
	return claimed
}

// try sends an alert that was claimed at begun or later, and writes down what came of it.
func (c *courier) try(ctx context.Context, begun time.Time, d Delivery) {
	outcome := Outcome{State: Dead, Error: fmt.Sprintf("given up: %d tries came to no end", c.options.MaxTries)}
	if d.Tries <= c.options.MaxTries {
		sending, cancel := context.WithDeadline(ctx, begun.Add(c.options.Timeout))
		err := send(sending, c.sink, d.Alert)
		cancel()
		c.options.OnTry(d, err)
		outcome = c.options.outcome(d, err)
	}
	// Whatever ended the try must not end this. Once the claim is over, somebody else has the delivery.
	writing, cancel := context.WithDeadline(context.WithoutCancel(ctx), begun.Add(2*c.options.Timeout))
	defer cancel()
	if err := c.outbox.Finish(writing, d, outcome); err != nil {
		c.options.OnError(fmt.Errorf("alert %s to %s: %w", d.Alert.ID, d.Sink, err))
	}
}

// send calls a sink. A panic of it is an error: there is nobody above who could recover, and the program has more to do
// than to alert.
func send(ctx context.Context, s Sink, a Alert) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the sink panicked: %v", p)
		}
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Send(ctx, a)
}

// outcome says what becomes of a delivery after a try that ended with err.
func (o *Options) outcome(d Delivery, err error) Outcome {
	switch {
	case err == nil:
		return Outcome{State: Delivered}
	case errors.Is(err, ErrGone), d.Tries >= o.MaxTries:
		return Outcome{State: Dead, Error: line(err.Error())}
	default:
		return Outcome{State: Waiting, After: o.pause(d.Tries, err), Error: line(err.Error())}
	}
}

// pause returns how long to wait after so many tries: less than Backoff, doubled with each of them after the first, and
// random all the way down (full jitter); longer if the receiver asked for it.
func (o *Options) pause(tries int, err error) time.Duration {
	longest := min(o.Backoff, o.MaxBackoff)
	for i := 1; i < tries && longest < o.MaxBackoff; i++ {
		longest = min(2*longest, o.MaxBackoff)
	}
	wait := time.Duration(o.Rand() * float64(longest))
	var asked *RetryAfterError
	if errors.As(err, &asked) {
		wait = max(wait, min(asked.After, o.MaxBackoff))
	}
	return wait
}

const maxLine = 500

// line returns text as a line that any store takes.
func line(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > maxLine {
		text = string(runes[:maxLine-1]) + "…"
	}
	return text
}
