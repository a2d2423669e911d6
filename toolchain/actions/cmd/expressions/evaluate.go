package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rhysd/actionlint"
)

// Contexts GitHub knows while it decides whether a job runs. The others exist
// only once it runs, and naming one makes the workflow file invalid.
var atJobCondition = []string{"github", "needs", "vars", "inputs"}

// Contexts that exist for every job, empty where the caller has none.
var atJob = []string{"github", "needs", "vars", "inputs", "matrix", "strategy", "env"}

type scope struct {
	context map[string]any
	status  string
	// condition is set while a job's `if` is evaluated.
	condition bool
}

// filtered is what `.*` gives: a property of it is looked up in each element.
type filtered []any

func evaluate(asked question) (any, error) {
	here := scope{context: asked.Context, status: asked.Status, condition: asked.Mode == "if"}
	source, isText := asked.Expression.(string)
	switch asked.Mode {
	case "if":
		if !isText { // `if: false` is a boolean in YAML
			source = text(asked.Expression)
		}
		return here.decide(source)
	case "value":
		if !isText {
			return asked.Expression, nil
		}
		return here.value(source)
	case "template":
		if !isText {
			return text(asked.Expression), nil
		}
		parts, err := split(source)
		if err != nil {
			return nil, err
		}
		return here.fill(parts)
	}
	return nil, fmt.Errorf("unknown mode %q: if, value or template", asked.Mode)
}

func (here scope) value(source string) (any, error) {
	if !strings.Contains(source, "${{") {
		return here.expression(source)
	}
	parts, err := split(source)
	if err != nil {
		return nil, err
	}
	if len(parts) == 1 {
		return here.expression(parts[0].content)
	}
	return here.fill(parts)
}

// decide evaluates a job's condition. Where no status function is named, success()
// is meant as well.
func (here scope) decide(source string) (bool, error) {
	switch here.status {
	case "":
		here.status = "success"
	case "success", "failure", "cancelled", "skipped":
	default:
		return false, fmt.Errorf("unknown status %q", here.status)
	}
	parts := []part{{content: strings.TrimSpace(source), isExpression: true}}
	if strings.Contains(source, "${{") {
		var err error
		if parts, err = split(strings.TrimSpace(source)); err != nil {
			return false, err
		}
	}
	asksStatus := false
	for index, found := range parts {
		if found.isExpression {
			if strings.TrimSpace(found.content) == "" {
				parts[index].content = "success()"
			}
			node, err := parse(parts[index].content)
			if err != nil {
				return false, err
			}
			asksStatus = asksStatus || namesStatus(node)
		}
	}
	var value any
	var err error
	if len(parts) == 1 && parts[0].isExpression {
		value, err = here.expression(parts[0].content)
	} else { // text with an expression in it, which is never empty: GitHub calls it true
		value, err = here.fill(parts)
	}
	return err == nil && truthy(value) && (asksStatus || here.status == "success"), err
}

func namesStatus(node actionlint.ExprNode) bool {
	found := false
	actionlint.VisitExprNode(node, func(node, _ actionlint.ExprNode, entering bool) {
		if call, ok := node.(*actionlint.FuncCallNode); ok && entering {
			found = found || isStatus(strings.ToLower(call.Callee))
		}
	})
	return found
}

func isStatus(name string) bool {
	return slices.Contains([]string{"success", "always", "failure", "cancelled"}, name)
}

func (here scope) fill(parts []part) (string, error) {
	var filled strings.Builder
	for _, found := range parts {
		if !found.isExpression {
			filled.WriteString(found.content)
			continue
		}
		value, err := here.expression(found.content)
		if err != nil {
			return "", err
		}
		filled.WriteString(text(value))
	}
	return filled.String(), nil
}

func parse(source string) (actionlint.ExprNode, error) {
	node, err := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(source + "}}"))
	if err != nil {
		return nil, fmt.Errorf("%s, in the expression %q", err.Message, strings.TrimSpace(source))
	}
	return node, nil
}

func (here scope) expression(source string) (any, error) {
	node, err := parse(source)
	if err != nil {
		return nil, err
	}
	value, err := here.evaluate(node)
	if err != nil {
		return nil, fmt.Errorf("%w, in the expression %q", err, strings.TrimSpace(source))
	}
	return value, nil
}

func (here scope) evaluate(node actionlint.ExprNode) (any, error) {
	switch node := node.(type) {
	case *actionlint.NullNode:
		return nil, nil
	case *actionlint.BoolNode:
		return node.Value, nil
	case *actionlint.IntNode:
		return float64(node.Value), nil
	case *actionlint.FloatNode:
		return node.Value, nil
	case *actionlint.StringNode:
		return node.Value, nil
	case *actionlint.VariableNode:
		return here.variable(node.Name)
	case *actionlint.ObjectDerefNode:
		receiver, err := here.evaluate(node.Receiver)
		return property(receiver, node.Property), err
	case *actionlint.ArrayDerefNode:
		receiver, err := here.evaluate(node.Receiver)
		return elements(receiver), err
	case *actionlint.IndexAccessNode:
		return here.index(node)
	case *actionlint.NotOpNode:
		operand, err := here.evaluate(node.Operand)
		return !truthy(operand), err
	case *actionlint.LogicalOpNode:
		left, err := here.evaluate(node.Left)
		if err != nil || truthy(left) == (node.Kind == actionlint.LogicalOpNodeKindOr) {
			return left, err
		}
		return here.evaluate(node.Right)
	case *actionlint.CompareOpNode:
		left, err := here.evaluate(node.Left)
		if err != nil {
			return nil, err
		}
		right, err := here.evaluate(node.Right)
		return compare(node.Kind, left, right), err
	case *actionlint.FuncCallNode:
		return here.call(node)
	}
	return nil, fmt.Errorf("not understood: %T", node)
}

func (here scope) variable(name string) (any, error) {
	switch strings.ToLower(name) {
	case "infinity":
		return math.Inf(1), nil
	case "nan":
		return math.NaN(), nil
	}
	if !here.condition || slices.Contains(atJobCondition, strings.ToLower(name)) {
		for key, value := range here.context {
			if strings.EqualFold(key, name) {
				return value, nil
			}
		}
		if slices.Contains(atJob, strings.ToLower(name)) {
			return map[string]any{}, nil
		}
	}
	if here.condition {
		return nil, fmt.Errorf("Unrecognized named-value: '%s' (a job's `if` knows %s)",
			name, strings.Join(atJobCondition, ", "))
	}
	return nil, fmt.Errorf("Unrecognized named-value: '%s'", name)
}

func (here scope) index(node *actionlint.IndexAccessNode) (any, error) {
	receiver, err := here.evaluate(node.Operand)
	if err != nil {
		return nil, err
	}
	index, err := here.evaluate(node.Index)
	if err != nil {
		return nil, err
	}
	if list, ok := receiver.([]any); ok {
		position := math.Floor(number(index))
		if position >= 0 && position < float64(len(list)) {
			return list[int(position)], nil
		}
		return nil, nil
	}
	return property(receiver, text(index)), nil
}

// property returns a property of an object, whatever its case, or of each element
// of a filtered list that has it; null where there is none.
func property(receiver any, name string) any {
	switch receiver := receiver.(type) {
	case map[string]any:
		if value, ok := receiver[name]; ok {
			return value
		}
		for key, value := range receiver {
			if strings.EqualFold(key, name) {
				return value
			}
		}
	case filtered:
		found := filtered{}
		for _, element := range receiver {
			if value := property(element, name); value != nil {
				found = append(found, value)
			}
		}
		return found
	}
	return nil
}

func elements(receiver any) any {
	switch receiver := receiver.(type) {
	case []any:
		return filtered(receiver)
	case map[string]any:
		found := filtered{}
		for _, key := range sortedKeys(receiver) {
			found = append(found, receiver[key])
		}
		return found
	case filtered: // `a.*.b.*`: the elements of the elements
		found := filtered{}
		for _, element := range receiver {
			if inner, ok := elements(element).(filtered); ok {
				found = append(found, inner...)
			}
		}
		return found
	}
	return filtered{}
}
