package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rhysd/actionlint"
)

// part is a stretch of a template: text, or what stands between ${{ and }}.
type part struct {
	content      string
	isExpression bool
}

// split takes a template apart. A }} inside an expression's string ends nothing.
func split(source string) ([]part, error) {
	var parts []part
	for source != "" {
		before, rest, found := strings.Cut(source, "${{")
		if before != "" {
			parts = append(parts, part{content: before})
		}
		if !found {
			break
		}
		end := endOfExpression(rest)
		if end < 0 {
			return nil, errors.New("an expression that starts with ${{ has no }}")
		}
		parts = append(parts, part{content: rest[:end], isExpression: true})
		source = rest[end+2:]
	}
	return parts, nil
}

func endOfExpression(source string) int {
	quoted := false
	for index := range len(source) {
		switch {
		case source[index] == '\'': // '' inside a string closes and opens it again
			quoted = !quoted
		case !quoted && strings.HasPrefix(source[index:], "}}"):
			return index
		}
	}
	return -1
}

func sortedKeys(object map[string]any) []string {
	return slices.Sorted(maps.Keys(object))
}

func truthy(value any) bool {
	switch value := value.(type) {
	case nil:
		return false
	case bool:
		return value
	case float64:
		return value != 0 && !math.IsNaN(value)
	case string:
		return value != ""
	}
	return true
}

// number coerces as GitHub does: null is 0, other text and every list or object
// is not a number.
func number(value any) float64 {
	switch value := value.(type) {
	case nil:
		return 0
	case bool:
		if value {
			return 1
		}
		return 0
	case float64:
		return value
	case string:
		return numberFrom(strings.TrimSpace(value))
	}
	return math.NaN()
}

func numberFrom(source string) float64 {
	switch {
	case source == "":
		return 0
	case source == "Infinity" || source == "-Infinity":
		return math.Inf(len("Infinity") - len(source))
	case strings.HasPrefix(source, "0x"), strings.HasPrefix(source, "0o"):
		if value, err := strconv.ParseInt(source, 0, 64); err == nil {
			return float64(value)
		}
	case !strings.ContainsAny(source, "xXpP_iInN"): // what Go takes for a number and GitHub does not
		if value, err := strconv.ParseFloat(source, 64); err == nil {
			return value
		}
	}
	return math.NaN()
}

func text(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(value)
	case string:
		return value
	case float64:
		switch {
		case value == 0: // also for -0
			return "0"
		case math.IsInf(value, 1):
			return "Infinity"
		case math.IsInf(value, -1):
			return "-Infinity"
		}
		return strings.Replace(fmt.Sprintf("%.15G", value), "+Inf", "Infinity", 1)
	case map[string]any:
		return "Object"
	}
	return "Array"
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	}
	return "collection"
}

// compare is GitHub's loose comparison: text without regard to case, values of
// different types as numbers, lists and objects never equal to another.
func compare(operator actionlint.CompareOpNodeKind, left, right any) bool {
	order, comparable := orderOf(left, right)
	switch operator {
	case actionlint.CompareOpNodeKindEq:
		return comparable && order == 0
	case actionlint.CompareOpNodeKindNotEq:
		return !comparable || order != 0
	case actionlint.CompareOpNodeKindLess:
		return comparable && order < 0
	case actionlint.CompareOpNodeKindLessEq:
		return comparable && order <= 0
	case actionlint.CompareOpNodeKindGreater:
		return comparable && order > 0
	case actionlint.CompareOpNodeKindGreaterEq:
		return comparable && order >= 0
	}
	return false
}

func orderOf(left, right any) (order int, comparable bool) {
	if kind(left) == "string" && kind(right) == "string" {
		return strings.Compare(strings.ToUpper(text(left)), strings.ToUpper(text(right))), true
	}
	if kind(left) == "collection" || kind(right) == "collection" {
		return 0, false
	}
	first, second := number(left), number(right)
	switch {
	case math.IsNaN(first) || math.IsNaN(second):
		return 0, false
	case first < second:
		return -1, true
	case first > second:
		return 1, true
	}
	return 0, true
}
