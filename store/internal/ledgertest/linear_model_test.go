package ledgertest

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// The sequential specification of admission: what one call after the other would answer. Histories of calls that were made
// at the same time are right if some order of theirs, in which none comes before one that had returned when it was made,
// would have had the same answers.

const (
	accounts = 2  // budgets, each with a limit of linearLimit for ever
	tickets  = 10 // ids of reservations

	linearLimit = 20
)

// covers says which budgets cover a ticket's request: the first ones one of them, the others both.
func covers(ticket, account int) bool { return ticket >= 4 || ticket%accounts == account }

// What a call does.
const (
	opReserve = "reserve"
	opSettle  = "settle"
	opRelease = "release"
	opExtend  = "extend"
	opPass    = "pass"  // time passes by the store's clock
	opLook    = "look"  // a budget's counter is read
	opSweep   = "sweep" // what is overdue is given back, on behalf of another part of the history
)

// A call is one operation of a history.
type call struct {
	op     string
	ticket int
	units  int // estimate of reserve, amount of settle
	hours  int // of reserve, extend: for how long; of pass: how many
	look   int // which budget
}

// An answer is what came of a call.
type answer struct {
	outcome string // "" if all is well
	late    bool   // of settle
	tally   account
}

// The outcomes that are no success.
const (
	wasDuplicate = "duplicate"
	wasConflict  = "conflict"
	wasExceeded  = "exceeded"
	wasClosed    = "closed"
	wasNotFound  = "not found"
)

// A ledgerState is all that the specification knows. It is compared with ==.
type ledgerState struct {
	hour     int // by the store's clock
	tickets  [tickets]ticket
	accounts [accounts]account
}

type ticket struct {
	state   string // "": never admitted
	units   int    // what it holds or held; of a settled one, what was used
	expires int    // the hour at which it is over
	late    bool   // settled after that
}

// The states of a ticket. One whose time is over stays open until somebody gives back what it holds.
const (
	isOpen     = "open"
	isReleased = "released"
	isExpired  = "expired"
	isSettled  = "settled"
)

type account struct {
	used, reserved, denied, expired int
}

var linearSeed = maphash.MakeSeed()

// linear is the specification as porcupine wants it.
var linear = porcupine.Model{
	Init: func() any { return ledgerState{} },
	Step: func(state, input, output any) (bool, any) {
		s, c, got := state.(ledgerState), input.(call), output.(answer)
		if t := &s.tickets[c.ticket]; c.op == opReserve && t.state == isSettled && got.outcome == wasExceeded {
			// Lacking room, one does not look whether another process has settled the very same request meanwhile.
			s.giveBack()
			return s.admit(c, t, c.units) == wasExceeded, s
		}
		want := s.step(c)
		return want == got, s
	},
	Hash:              func(state any) uint64 { return maphash.Comparable(linearSeed, state.(ledgerState)) },
	Partition:         independent,
	DescribeOperation: func(input, output any) string { return describe(input.(call), output.(answer)) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

// step does what a call does and returns what it would answer.
func (s *ledgerState) step(c call) answer {
	t := &s.tickets[c.ticket]
	switch c.op {
	case opPass:
		s.hour += c.hours
		return answer{}
	case opLook:
		return answer{tally: s.accounts[c.look]}
	case opSweep:
		s.giveBack()
		return answer{}
	case opReserve:
		s.giveBack()
		return answer{outcome: s.reserve(c, t)}
	case opExtend:
		if t.state == "" {
			return answer{outcome: wasNotFound}
		}
		s.giveBack()
		return answer{outcome: s.extend(c, t)}
	case opRelease:
		return answer{outcome: s.release(c, t)}
	default:
		return s.settle(c, t)
	}
}

func (s *ledgerState) overdue(t *ticket) bool { return t.state == isOpen && t.expires <= s.hour }

// giveBack ends what is overdue: whoever needs room does it first.
func (s *ledgerState) giveBack() {
	for i := range s.tickets {
		if t := &s.tickets[i]; s.overdue(t) {
			s.add(i, func(a *account) { a.reserved -= t.units; a.expired++ })
			t.state = isExpired
		}
	}
}

// add changes the budgets that cover a ticket.
func (s *ledgerState) add(ticket int, change func(*account)) {
	for i := range s.accounts {
		if covers(ticket, i) {
			change(&s.accounts[i])
		}
	}
}

func (s *ledgerState) reserve(c call, t *ticket) string {
	switch t.state {
	case isReleased, isSettled:
		return wasClosed
	case isOpen:
		if t.units != c.units {
			return wasConflict
		}
		return ""
	default:
		return s.admit(c, t, c.units)
	}
}

// admit asks the budgets for room: all of them have it, or nothing is held.
func (s *ledgerState) admit(c call, t *ticket, units int) string {
	outcome := ""
	s.add(c.ticket, func(a *account) {
		if a.used+a.reserved+units > linearLimit || a.used+a.reserved >= linearLimit {
			outcome = wasExceeded
		}
	})
	s.add(c.ticket, func(a *account) {
		switch {
		case outcome == "":
			a.reserved += units
			if t.state == isExpired {
				a.expired--
			}
		case a.used+a.reserved+units > linearLimit || a.used+a.reserved >= linearLimit:
			a.denied++
		}
	})
	if outcome == "" {
		*t = ticket{state: isOpen, units: units, expires: s.hour + c.hours}
	}
	return outcome
}

func (s *ledgerState) extend(c call, t *ticket) string {
	switch t.state {
	case isReleased, isSettled:
		return wasClosed
	case isOpen:
		t.expires = max(t.expires, s.hour+c.hours)
		return ""
	default:
		return s.admit(c, t, t.units)
	}
}

// release gives back what holds. The clock decides whether it still does, not whether somebody has noticed.
func (s *ledgerState) release(c call, t *ticket) string {
	switch {
	case t.state == "":
		return wasNotFound
	case t.state == isSettled:
		return wasClosed
	case s.overdue(t):
		s.add(c.ticket, func(a *account) { a.reserved -= t.units; a.expired++ })
		t.state = isExpired
	case t.state == isOpen:
		s.add(c.ticket, func(a *account) { a.reserved -= t.units })
		*t = ticket{state: isReleased}
	}
	return ""
}

func (s *ledgerState) settle(c call, t *ticket) answer {
	switch t.state {
	case "":
		return answer{outcome: wasNotFound}
	case isSettled:
		if t.units != c.units {
			return answer{outcome: wasConflict}
		}
		return answer{outcome: wasDuplicate, late: t.late}
	}
	late := t.state != isOpen || s.overdue(t)
	s.add(c.ticket, func(a *account) {
		a.used += c.units
		switch t.state {
		case isOpen:
			a.reserved -= t.units
		case isExpired:
			a.expired--
		}
	})
	*t = ticket{state: isSettled, units: c.units, late: late}
	return answer{late: late}
}

// independent splits a history into one part for each budget if no request is under both. Time passes in all parts, and
// who needs room in one gives back what is overdue in the others too.
func independent(history []porcupine.Operation) [][]porcupine.Operation {
	parts := make([][]porcupine.Operation, accounts)
	for _, o := range history {
		c := o.Input.(call)
		for i := range parts {
			switch {
			case c.op == opPass, c.op == opLook && c.look == i, c.op != opLook && covers(c.ticket, i):
				parts[i] = append(parts[i], o)
			case (c.op == opReserve || c.op == opExtend) && o.Output.(answer).outcome != wasNotFound:
				sweep := o
				sweep.Input, sweep.Output = call{op: opSweep}, answer{}
				parts[i] = append(parts[i], sweep)
			}
		}
		if c.op != opPass && c.op != opLook && covers(c.ticket, 0) && covers(c.ticket, 1) {
			return [][]porcupine.Operation{history}
		}
	}
	return parts
}

func describe(c call, a answer) string {
	text := map[string]string{
		opReserve: fmt.Sprintf("reserve #%d %d units %dh", c.ticket, c.units, c.hours),
		opSettle:  fmt.Sprintf("settle #%d %d units", c.ticket, c.units),
		opRelease: fmt.Sprintf("release #%d", c.ticket),
		opExtend:  fmt.Sprintf("extend #%d %dh", c.ticket, c.hours),
		opPass:    fmt.Sprintf("%dh pass", c.hours),
		opLook:    fmt.Sprintf("look at %d", c.look),
		opSweep:   "sweep",
	}[c.op]
	switch {
	case a.outcome != "":
		text += ": " + a.outcome
	case c.op == opLook:
		text += fmt.Sprintf(": %+v", a.tally)
	}
	if a.late {
		text += ", late"
	}
	return text
}

// text is the history as one reads it: a line for each call, in the order in which they were made.
func text(history []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return int(a.Call - b.Call) }) {
		fmt.Fprintf(&b, "%8d–%8d client %d: %s\n", o.Call/1000, o.Return/1000, o.ClientId, linear.DescribeOperation(o.Input, o.Output))
	}
	return b.String()
}
