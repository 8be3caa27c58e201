package page

// A field is an input of a form. Its name is the API's.
type field struct {
	ID                string // in the page
	Name, Label, Hint string
	Value             string
	Number            bool
	Nullable          bool // if it is empty, null is sent
}

// fields returns the fields of a form with ids of their own.
func fields(form string, all []field) []field {
	for i := range all {
		all[i].ID = form + "-" + all[i].Name
	}
	return all
}
