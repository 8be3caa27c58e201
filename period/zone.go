package period

import (
	"strings"
	"sync"
	"time"

	"github.com/purser-go/purser/internal/invalid"
)

const (
	utc     = "UTC"
	maxZone = 64 // bytes; the longest name in the database has 32
)

// In returns s with its boundaries in loc, which is UTC if nil. The location must be one of the IANA database, known by
// its name: not [time.Local], nor a fixed offset such as [time.FixedZone] makes.
func (s Schedule) In(loc *time.Location) Schedule {
	if loc == nil {
		loc = time.UTC
	}
	s.zone, s.loc = loc.String(), location(loc.String())
	if s.loc != nil && !samelyFixed(loc, s.loc) {
		s.loc = nil
	}
	return s
}

// InZone is [Schedule.In] for the zone of this IANA name, such as "Europe/Berlin". If there is none, the error is a
// [FieldError] of time_zone.
func (s Schedule) InZone(name string) (Schedule, error) {
	s.zone, s.loc = name, location(name)
	if err := s.validateZone(); err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// Zone returns the name of the time zone, "" for the zero Schedule.
func (s Schedule) Zone() string { return s.zone }

// Location returns the time zone, UTC if s has none that is valid.
func (s Schedule) Location() *time.Location {
	if s.loc == nil {
		return time.UTC
	}
	return s.loc
}

func (s Schedule) validateZone() error {
	switch {
	case s.loc != nil:
		return nil
	case s.zone == "":
		return invalid.Field("time_zone", "must not be empty: the location has no name")
	case len(s.zone) > maxZone:
		return invalid.Field("time_zone", "has %d bytes, at most %d are allowed", len(s.zone), maxZone)
	case s.zone == "Local":
		return invalid.Field("time_zone", "must be named, such as Europe/Berlin: Local is another one on every machine")
	default:
		return invalid.Field("time_zone", "%q is not the name of an IANA time zone, or a fixed offset bears it", s.zone)
	}
}

// locations holds every zone in use by its name, because [time.LoadLocation] returns another pointer each time and takes
// long. Only names from the database get in, so it stays small.
var locations sync.Map // string → *time.Location

// location returns the process's only location for an IANA name, nil if there is none.
func location(name string) *time.Location {
	if loc, ok := locations.Load(name); ok {
		return loc.(*time.Location)
	}
	if !portable(name) {
		return nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	only, _ := locations.LoadOrStore(strings.Clone(name), loc)
	return only.(*time.Location)
}

// portable reports whether a name can mean the same zone on every machine. Some systems have more in their database's
// folder: their own setting, and copies of all zones, also with leap seconds counted.
func portable(name string) bool {
	switch name {
	case "", "Local", "localtime", "posixrules":
		return false
	}
	return len(name) <= maxZone && !strings.HasPrefix(name, "posix/") && !strings.HasPrefix(name, "right/")
}

// samelyFixed reports whether given, if it is a fixed offset, is the same as known. It tells FixedZone("CET", 3600), by
// its text the zone CET with its summer time, from that zone.
func samelyFixed(given, known *time.Location) bool {
	epoch := time.Unix(0, 0)
	if !alwaysSame(epoch.In(given)) {
		return true
	}
	_, got := epoch.In(given).Zone()
	_, want := epoch.In(known).Zone()
	return got == want && alwaysSame(epoch.In(known))
}

// alwaysSame reports whether t's location has one offset for ever.
func alwaysSame(t time.Time) bool {
	start, end := t.ZoneBounds()
	return start.IsZero() && end.IsZero()
}
