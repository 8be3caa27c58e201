package main

import "testing"

// A parityRow is one line of what the users of the two systems must find again, whose routes this server has, and what
// shows that they do.
type parityRow struct {
	row   string
	check func(*testing.T, *world)
}

// testParity checks each row in worlds of its own, one on each kind of store.
func testParity(t *testing.T, rows []parityRow) {
	seen := make(map[string]bool)
	for _, r := range rows {
		if seen[r.row] {
			t.Fatalf("the row %q is there twice", r.row)
		}
		seen[r.row] = true
		t.Run(r.row, func(t *testing.T) {
			if r.check == nil {
				t.Fatal("nothing shows this")
			}
			onEveryStore(t, r.check)
		})
	}
}

func TestGeneralParity(t *testing.T) { testParity(t, generalParity) }

// generalParity is what holds for both systems.
var generalParity = []parityRow{
	{"401 comes first", func(_ *testing.T, w *world) {
		w.want(401, `{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "A valid token is needed."}`,
			"", "GET", "/api/v1/tenants/x?%zz", "{")
	}},
}
