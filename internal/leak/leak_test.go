package leak

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestFind(t *testing.T) {
	others := goleak.IgnoreCurrent()
	end := make(chan struct{})
	go forgotten(end)
	if err := find(0, others); err == nil || !strings.Contains(err.Error(), "leak.forgotten") {
		t.Errorf("while a goroutine runs: got error %v, want one that shows it", err)
	}
	// Longer than goleak by itself looks for it.
	time.AfterFunc(time.Second, func() { close(end) })
	if err := find(time.Minute, others); err != nil {
		t.Errorf("of a goroutine that takes its time to end: got error %v, want none", err)
	}
	VerifyNone(t, others)
}

func forgotten(end chan struct{}) { <-end }
