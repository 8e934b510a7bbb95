package skillhost

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"

	export_tools "skillhost/internal/bindings/export_skillhost_skill_tools"
	export_undo "skillhost/internal/bindings/export_skillhost_skill_undo"
	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
	"skillhost/internal/world"
)

// Tool is a tool whose arguments are an In. What is not said of its effects is unknown, and the host assumes the worst.
type Tool[In any] struct {
	// Name has 1 to 64 characters of A-Z a-z 0-9 _ -.
	Name string
	// Title is a name for people.
	Title string
	// Description says what it does and when to use it: this is what a model reads.
	Description string
	// Input is the schema of the arguments, an object's; without it the one of In.
	Input Schema
	// Output is the schema of the structured result, which the host holds against it. [SchemaOf] makes one.
	Output Schema
	// ReadOnly changes nothing.
	ReadOnly Hint
	// Destructive may destroy or overwrite.
	Destructive Hint
	// Idempotent has no further effect when it is called again with the same arguments.
	Idempotent Hint
	// OpenWorld deals with things outside a closed world, such as the web.
	OpenWorld Hint
	// Durable calls must be carried out, also when their first attempts fail.
	Durable bool
	// Reusable bears an instance that has served other calls, of whoever they were, where the operator sets `reuse_calls`.
	Reusable bool
	// Task tells whether a call may run as a task.
	Task Task
	// Icons is an array of MCP icons.
	Icons any
	// Meta is an object for clients.
	Meta map[string]any
	// Run does it. A text is the answer's text, nil is nothing, a [Reply] is itself, anything else is the structured result.
	// An error that is no [Failure] ends the instance.
	Run func(call *Call, in In) (any, error)
	// Undo takes back what a call did. It may run more than once. Without it calls cannot be undone.
	Undo func(call *Call, in In, undo Undo) error
}

// Hint is what is said of a tool's effects.
type Hint uint8

const (
	Unknown Hint = iota
	Yes
	No
)

// Task tells whether a call may run as a task.
type Task uint8

const (
	// TaskNo answers soon.
	TaskNo = Task(types.TaskSupportNo)
	// TaskOptional runs as a task where the client has them.
	TaskOptional = Task(types.TaskSupportOptional)
	// TaskRequired refuses clients that have none.
	TaskRequired = Task(types.TaskSupportRequired)
	// TaskAnswered is as TaskRequired, once its questions are answered.
	TaskAnswered = Task(types.TaskSupportAnswered)
)

// Undo is what is known of a call that is to be taken back.
type Undo struct {
	// Token is the newest that the call left behind. nil: the call may never have begun.
	Token json.RawMessage
	// Force is the operator's word to overwrite what has changed since.
	Force bool
}

// tool is one whose arguments are not decoded yet.
type tool struct {
	spec func() types.Tool
	run  func(call *Call, arguments string) (any, error)
	undo func(call *Call, arguments string, undo Undo) error
}

var (
	tools = map[string]tool{}
	order []string
	names = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// Add offers a tool. Call it in an init function: what is wrong in a definition panics, and ends the build of the component.
func Add[In any](definition Tool[In]) {
	name := definition.Name
	wrong := func(what string) { panic(fmt.Sprintf("the tool %q: %s", name, what)) }
	switch {
	case !names.MatchString(name):
		wrong("a name has 1 to 64 characters of A-Z a-z 0-9 _ -")
	case strings.TrimSpace(definition.Description) == "":
		// It is all that a model knows of it.
		wrong("it has no description")
	case definition.Input == nil && !object[In]():
		wrong("its In is no struct and no map: say Input")
	case definition.Run == nil:
		wrong("it has no Run")
	case tools[name].run != nil:
		wrong("there is one already")
	}
	added := tool{
		spec: func() types.Tool { return spec(&definition) },
		run: func(call *Call, arguments string) (any, error) {
			in, err := decoded[In](arguments)
			if err != nil {
				return nil, err
			}
			return definition.Run(call, in)
		},
	}
	if definition.Undo != nil {
		added.undo = func(call *Call, arguments string, undo Undo) error {
			in, err := decoded[In](arguments)
			if err != nil {
				return err
			}
			return definition.Undo(call, in, undo)
		}
	}
	tools[name], order = added, append(order, name)
}

// object says whether a type is an object in JSON, as far as the type tells.
func object[In any]() bool {
	kind := indirect(reflect.TypeFor[In]()).Kind()
	return kind == reflect.Struct || kind == reflect.Map
}

// decoded are arguments that the host has held against the schema, which need not say all that the type does.
func decoded[In any](arguments string) (In, error) {
	var in In
	if err := json.Unmarshal([]byte(arguments), &in); err != nil {
		return in, InvalidInput("%s", err)
	}
	return in, nil
}

func spec[In any](definition *Tool[In]) types.Tool {
	input := definition.Input
	if input == nil {
		input = SchemaOf[In]()
	}
	if input["type"] != "object" {
		panic(fmt.Sprintf("the tool %q: the schema of its input is that of an object", definition.Name))
	}
	meta := maps.Clone(definition.Meta)
	if definition.Reusable {
		if meta == nil {
			meta = map[string]any{}
		}
		meta["skillhost/reusable"] = true
	}
	return types.Tool{
		Name: definition.Name, Title: named(definition.Title), Description: named(definition.Description),
		InputSchema: text(input), OutputSchema: written(definition.Output, definition.Output != nil),
		Annotations: types.Annotations{
			ReadOnly: definition.ReadOnly.wit(), Destructive: definition.Destructive.wit(),
			Idempotent: definition.Idempotent.wit(), OpenWorld: definition.OpenWorld.wit(),
		},
		Undoable: definition.Undo != nil, Durable: definition.Durable, Task: types.TaskSupport(definition.Task),
		Icons: written(definition.Icons, definition.Icons != nil), Meta: written(meta, meta != nil),
	}
}

func (h Hint) wit() wit.Option[bool] {
	if h == Unknown {
		return wit.None[bool]()
	}
	return wit.Some(h == Yes)
}

func init() {
	world.FailureOf, world.FailureIn, world.ReplyOf = failureOf, failed, replied
	export_tools.List = func() []types.Tool {
		if len(order) == 0 {
			panic("a skill has at least one tool: skillhost.Add offers it")
		}
		var specs []types.Tool
		for _, name := range order {
			specs = append(specs, tools[name].spec())
		}
		return specs
	}
	export_tools.Call = func(
		ctx types.Context, name string, arguments wit.Option[string],
	) wit.Result[types.Outcome, types.Failure] {
		tool, found := tools[name]
		if !found {
			return wit.Err[types.Outcome](types.MakeFailurePermanent("there is no tool " + name))
		}
		call := callOf(ctx)
		changed = false
		value, err := tool.run(call, arguments.SomeOr("{}"))
		if asked := asked(err); asked != nil {
			return wit.Ok[types.Outcome, types.Failure](types.MakeOutcomeInputRequired(asked.wit(call)))
		}
		if err != nil {
			return wit.Err[types.Outcome](failed(err))
		}
		return wit.Ok[types.Outcome, types.Failure](types.MakeOutcomeReply(replied(value)))
	}
	export_undo.Undo = func(
		ctx types.Context, name string, arguments, token wit.Option[string], force bool,
	) wit.Result[wit.Unit, types.Failure] {
		tool := tools[name]
		if tool.undo == nil {
			return wit.Err[wit.Unit](types.MakeFailurePermanent(name + " takes nothing back"))
		}
		changed = false
		err := tool.undo(callOf(ctx), arguments.SomeOr("{}"), Undo{Token: raw(token), Force: force})
		if asked(err) != nil {
			err = Permanent("nobody can be asked while a call is taken back")
		}
		if err != nil {
			return wit.Err[wit.Unit](failed(err))
		}
		return wit.Ok[wit.Unit, types.Failure](wit.Unit{})
	}
}
