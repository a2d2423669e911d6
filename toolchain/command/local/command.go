package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Command is a resource whose create, update and delete are shell commands.
type Command struct{}

// Inputs are the properties a program sets. A change of triggers replaces the
// resource: the official SDK asks the engine for that, the tag here repeats it.
type Inputs struct {
	Settings
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
}

// State is what the engine stores: the inputs and the last run's result.
type State struct {
	Inputs
	Result
}

// Create runs the create command, if there is one.
func (*Command) Create(
	ctx context.Context, request infer.CreateRequest[Inputs],
) (infer.CreateResponse[State], error) {
	id, err := resource.NewUniqueHex(request.Name, 8, 0)
	response := infer.CreateResponse[State]{ID: id, Output: State{Inputs: request.Inputs}}
	if err != nil || request.DryRun || request.Inputs.Create == nil {
		return response, err
	}
	response.Output.Result, err = run(ctx, *request.Inputs.Create, request.Inputs.Settings, Result{})
	return response, err
}

// Update runs the update command or, without one, the create command again.
func (*Command) Update(
	ctx context.Context, request infer.UpdateRequest[Inputs, State],
) (infer.UpdateResponse[State], error) {
	previous := request.State.Result
	response := infer.UpdateResponse[State]{Output: State{Inputs: request.Inputs, Result: previous}}
	command := request.Inputs.Update
	if command == nil {
		command = request.Inputs.Create
	}
	if request.DryRun || command == nil {
		return response, nil
	}
	result, err := run(ctx, *command, request.Inputs.Settings, previous)
	response.Output.Result = result
	return response, err
}

// Delete runs the delete command, if there is one, with the properties that
// were stored last: the program's present ones are not known here.
func (*Command) Delete(
	ctx context.Context, request infer.DeleteRequest[State],
) (infer.DeleteResponse, error) {
	if request.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	_, err := run(ctx, *request.State.Delete, request.State.Settings, request.State.Result)
	return infer.DeleteResponse{}, err
}

// Run is the function (invoke) that runs a command every time a program runs,
// previews included.
type Run struct{}

// RunInputs are the function's arguments.
type RunInputs struct {
	Settings
	Command string `pulumi:"command"`
}

// RunOutputs are the arguments again and what the command left behind.
type RunOutputs struct {
	RunInputs
	Result
}

// Annotate names the function: its token is command:local:run.
func (r *Run) Annotate(a infer.Annotator) {
	a.SetToken("local", "run")
}

// Invoke runs the command.
func (*Run) Invoke(
	ctx context.Context, request infer.FunctionRequest[RunInputs],
) (infer.FunctionResponse[RunOutputs], error) {
	result, err := run(ctx, request.Input.Command, request.Input.Settings, Result{})
	return infer.FunctionResponse[RunOutputs]{
		Output: RunOutputs{RunInputs: request.Input, Result: result},
	}, err
}
