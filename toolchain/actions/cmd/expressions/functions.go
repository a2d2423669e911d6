package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rhysd/actionlint"
)

// arguments holds how many arguments each function takes, at least and at most.
var arguments = map[string][2]int{
	"always": {0, 0}, "success": {0, 0}, "failure": {0, 0}, "cancelled": {0, 0},
	"contains": {2, 2}, "startswith": {2, 2}, "endswith": {2, 2},
	"format": {1, 255}, "join": {1, 2}, "tojson": {1, 1}, "fromjson": {1, 1}, "case": {3, 255},
}

func (here scope) call(node *actionlint.FuncCallNode) (any, error) {
	name := strings.ToLower(node.Callee)
	count, known := arguments[name]
	// hashFiles reads a checkout, which a job has only once it runs.
	if !known || (isStatus(name) && !here.condition) {
		return nil, fmt.Errorf("Unrecognized function: '%s'", node.Callee)
	}
	if len(node.Args) < count[0] || len(node.Args) > count[1] {
		return nil, fmt.Errorf("%s takes %d to %d arguments and got %d",
			node.Callee, count[0], count[1], len(node.Args))
	}
	if name == "case" {
		return here.choose(node.Args)
	}
	values := make([]any, len(node.Args))
	for index, argument := range node.Args {
		value, err := here.evaluate(argument)
		if err != nil {
			return nil, err
		}
		values[index] = value
	}
	switch name {
	case "always":
		return true, nil
	case "success":
		return here.status == "success", nil
	case "failure":
		return here.status == "failure", nil
	case "cancelled":
		return here.status == "cancelled", nil
	case "contains":
		return contains(values[0], values[1]), nil
	case "startswith":
		return strings.HasPrefix(lower(values[0]), lower(values[1])), nil
	case "endswith":
		return strings.HasSuffix(lower(values[0]), lower(values[1])), nil
	case "format":
		return format(text(values[0]), values[1:])
	case "join":
		separator := ","
		if len(values) == 2 {
			separator = text(values[1])
		}
		return join(values[0], separator), nil
	case "tojson":
		return toJSON(values[0])
	}
	return fromJSON(text(values[0]))
}

// choose is case(condition, value, …, otherwise).
func (here scope) choose(branches []actionlint.ExprNode) (any, error) {
	if len(branches)%2 == 0 {
		return nil, errors.New("case takes pairs of condition and value, and then one value more")
	}
	for ; len(branches) > 1; branches = branches[2:] {
		condition, err := here.evaluate(branches[0])
		if err != nil {
			return nil, err
		}
		if holds, ok := condition.(bool); !ok {
			return nil, errors.New("a condition of case is not a boolean")
		} else if holds {
			return here.evaluate(branches[1])
		}
	}
	return here.evaluate(branches[0])
}

func lower(value any) string { return strings.ToLower(text(value)) }

func list(value any) ([]any, bool) {
	switch value := value.(type) {
	case []any:
		return value, true
	case filtered:
		return value, true
	}
	return nil, false
}

func contains(where, what any) bool {
	if found, ok := list(where); ok {
		for _, element := range found {
			if compare(actionlint.CompareOpNodeKindEq, element, what) {
				return true
			}
		}
		return false
	}
	if kind(where) == "collection" {
		return false
	}
	return strings.Contains(lower(where), lower(what))
}

func join(value any, separator string) string {
	found, ok := list(value)
	if !ok {
		if kind(value) == "collection" {
			return ""
		}
		return text(value)
	}
	texts := make([]string, len(found))
	for index, element := range found {
		texts[index] = text(element)
	}
	return strings.Join(texts, separator)
}

var placeholder = regexp.MustCompile(`\{\{|\}\}|\{(\d+)\}|[{}]`)

func format(pattern string, values []any) (string, error) {
	var problem error
	filled := placeholder.ReplaceAllStringFunc(pattern, func(found string) string {
		if found == "{{" || found == "}}" {
			return found[:1]
		}
		index, err := strconv.Atoi(strings.Trim(found, "{}"))
		if err != nil || index >= len(values) {
			problem = fmt.Errorf("format: %s in %q stands for no argument", found, pattern)
			return ""
		}
		return text(values[index])
	})
	return filled, problem
}

// toJSON writes as GitHub does, two spaces deep; keys are in alphabetical order.
func toJSON(value any) (string, error) {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(plain(value))
	return strings.TrimSuffix(written.String(), "\n"), err
}

func fromJSON(source string) (any, error) {
	var value any
	if err := json.Unmarshal([]byte(source), &value); err != nil {
		return nil, fmt.Errorf("fromJSON was given no JSON (%w)", err)
	}
	return value, nil
}
