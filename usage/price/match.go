package price

import (
	"regexp"
	"slices"
	"strings"
)

// A Match says which names are meant. It is given names in lower case, and those that are made here don't look at case.
type Match func(name string) bool

// Equal means the one name.
func Equal(name string) Match {
	name = strings.ToLower(name)
	return func(s string) bool { return s == name }
}

// Prefix means the names that begin so.
func Prefix(text string) Match {
	text = strings.ToLower(text)
	return func(s string) bool { return strings.HasPrefix(s, text) }
}

// Suffix means the names that end so.
func Suffix(text string) Match {
	text = strings.ToLower(text)
	return func(s string) bool { return strings.HasSuffix(s, text) }
}

// Contains means the names in which the text is found.
func Contains(text string) Match {
	text = strings.ToLower(text)
	return func(s string) bool { return strings.Contains(s, text) }
}

// Regexp means the names in which the expression of package regexp finds something.
func Regexp(expression string) (Match, error) {
	re, err := regexp.Compile("(?i)" + expression)
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}

// Any means the names that one of these means.
func Any(matches ...Match) Match {
	return func(s string) bool { return slices.ContainsFunc(matches, func(m Match) bool { return m(s) }) }
}

// All means the names that each of these means.
func All(matches ...Match) Match {
	return func(s string) bool { return !slices.ContainsFunc(matches, func(m Match) bool { return !m(s) }) }
}

func (m Match) matches(s string) bool { return m != nil && m(s) }
