// Package skillhosttest plays the host, and the client before it, in tests on your own machine.
package skillhosttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"skillhost"
	export_tools "skillhost/internal/bindings/export_skillhost_skill_tools"
	export_undo "skillhost/internal/bindings/export_skillhost_skill_undo"
	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
	"skillhost/internal/world"
)

// Host is a host for one test, and not for those that run in parallel. Its fields may be set before calls, and tell afterwards what the skill did. What is not there
// was not granted.
type Host struct {
	Config, Secrets map[string]string
	// Values are the skill's own.
	Values map[string][]byte
	// Tools are those of other skills, by their full names. They return what tools return.
	Tools map[string]func(arguments json.RawMessage) (any, error)
	// Answers are the client's, by the keys of questions: a [skillhost.Form], a list of [skillhost.Root], or what a model
	// says. Without any it cannot be asked.
	Answers map[string]any
	// Cancel says that the client gave up.
	Cancel bool

	Progress []Progress
	Log      []Line
	Calls    []Called
	Changed  []string
	// Prepared is the token that was kept last.
	Prepared json.RawMessage
}

// Progress is a report of how far the call is.
type Progress struct {
	Done, Total float64
	Message     string
}

// Line is one of the log.
type Line struct{ Level, Message string }

// Called is a call of another skill's tool.
type Called struct {
	Name      string
	Arguments json.RawMessage
}

// Result is what came of a call.
type Result struct {
	// Text is that of all blocks of text, by lines.
	Text string
	// Structured is the structured result, or nil.
	Structured json.RawMessage
	IsError    bool
	// UndoToken is what the call left behind, or nil.
	UndoToken json.RawMessage
}

// New makes the host that counts until the test ends.
func New(t testing.TB) *Host {
	host := &Host{Values: map[string][]byte{}}
	before := world.Now
	world.Now = fake{host}
	t.Cleanup(func() { world.Now = before })
	return host
}

// Call calls a tool, without holding arguments and results against schemas, which `skillhost test` does. Its failure is the error. What would end the instance panics.
func (h *Host) Call(tool string, arguments any) (Result, error) {
	h.Prepared = nil
	ctx := h.context()
	for {
		outcome := export_tools.Call(ctx, tool, wit.Some(encoded(arguments)))
		if outcome.IsErr() {
			return Result{}, failure(outcome.Err())
		}
		if outcome.Ok().Tag() == types.OutcomeReply {
			return h.result(outcome.Ok().Reply()), nil
		}
		ctx.Round = wit.Some(h.round(ctx.Round, outcome.Ok().InputRequired()))
	}
}

// Undo takes a call back. A nil token says that the call may never have begun.
func (h *Host) Undo(tool string, arguments any, token json.RawMessage, force bool) error {
	given := wit.None[string]()
	if token != nil {
		given = wit.Some(string(token))
	}
	result := export_undo.Undo(h.context(), tool, wit.Some(encoded(arguments)), given, force)
	if result.IsErr() {
		return failure(result.Err())
	}
	return nil
}

func (h *Host) context() types.Context {
	client := types.ClientFeaturesProgress
	if len(h.Answers) > 0 {
		client = 0xff
	}
	return types.Context{
		CallId: "01900000-0000-7000-8000-000000000000", CorrelationId: "test", Attempt: 1, TimeLeftMs: 30_000,
		Caller: "local", Client: client, Meta: wit.None[string](), Round: wit.None[types.Round](),
	}
}

func (h *Host) round(before wit.Option[types.Round], asked types.InputRequired) types.Round {
	number := uint32(2)
	if before.IsSome() {
		number = before.Some().Number + 1
	}
	round := types.Round{Number: number, State: asked.State}
	for _, question := range asked.Questions {
		answer, known := h.Answers[question.Key]
		if !known {
			panic(fmt.Sprintf("the test has no answer for %q", question.Key))
		}
		round.Answers = append(round.Answers, types.Answer{Key: question.Key, Value: answered(question.Ask, answer)})
	}
	return round
}

func answered(ask types.Ask, answer any) types.AnswerValue {
	switch ask.Tag() {
	case types.AskSample:
		return types.MakeAnswerValueSampled(encoded(answer))
	case types.AskRoots:
		roots := []types.Root{}
		for _, root := range answer.([]skillhost.Root) {
			roots = append(roots, types.Root{Uri: root.URI, Name: wit.Some(root.Name)})
		}
		return types.MakeAnswerValueRoots(roots)
	default:
		form := answer.(skillhost.Form)
		if form.Action == "" {
			form.Action = skillhost.Accept
		}
		action := slices.Index([]skillhost.Action{skillhost.Accept, skillhost.Decline, skillhost.Cancel}, form.Action)
		content := wit.None[string]()
		if form.Content != nil {
			content = wit.Some(string(form.Content))
		}
		return types.MakeAnswerValueElicited(types.Elicited{Action: types.Action(action), Content: content})
	}
}

func (h *Host) result(reply types.Reply) Result {
	var said []string
	for _, block := range reply.Content {
		if block.Content.Tag() == types.ContentText {
			said = append(said, block.Content.Text())
		}
	}
	result := Result{Text: strings.Join(said, "\n"), IsError: reply.IsError, UndoToken: h.Prepared}
	if reply.Structured.IsSome() {
		result.Structured = json.RawMessage(reply.Structured.Some())
	}
	if reply.UndoToken.IsSome() {
		result.UndoToken = json.RawMessage(reply.UndoToken.Some())
	}
	return result
}

func failure(failure types.Failure) error { return world.FailureOf(failure) }

func encoded(value any) string {
	if value == nil {
		return "{}"
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fake is the host as the skill sees it.
type fake struct{ *Host }

func (f fake) Progress(done float64, total *float64, message *string) {
	report := Progress{Done: done}
	if total != nil {
		report.Total = *total
	}
	if message != nil {
		report.Message = *message
	}
	f.Host.Progress = append(f.Host.Progress, report)
}

func (f fake) Cancelled() bool { return f.Cancel }

func (f fake) Changed(what string) error {
	f.Host.Changed = append(f.Host.Changed, what)
	return nil
}

func (f fake) ResourceUpdated(uri string) error { return f.Changed(uri) }

func (f fake) PrepareUndo(token string) error {
	f.Prepared = json.RawMessage(token)
	return nil
}

func (f fake) CallTool(name string, arguments *string) (types.Reply, error) {
	tool, there := f.Tools[name]
	if !there {
		return types.Reply{}, denied("the test has no tool " + name)
	}
	var given json.RawMessage
	if arguments != nil {
		given = json.RawMessage(*arguments)
	}
	f.Calls = append(f.Calls, Called{Name: name, Arguments: given})
	value, err := tool(given)
	var failure *skillhost.Failure
	if errors.As(err, &failure) {
		return types.Reply{}, world.Failed{Failure: world.FailureIn(err)}
	}
	return world.ReplyOf(value), err
}

func (f fake) Secret(name string) (string, error) {
	if secret, there := f.Secrets[name]; there {
		return secret, nil
	}
	return "", denied("the secret " + name + " was not granted")
}

func (f fake) Config(key string) (string, bool, error) {
	value, found := f.Host.Config[key]
	return value, found, nil
}

func (f fake) AllConfig() (map[string]string, error) { return maps.Clone(f.Host.Config), nil }

func (f fake) Get(key string) ([]byte, bool, error) {
	value, found := f.Values[key]
	return slices.Clone(value), found, nil
}

func (f fake) Set(key string, value []byte) error {
	f.Values[key] = slices.Clone(value)
	return nil
}

func (f fake) Delete(key string) error {
	delete(f.Values, key)
	return nil
}

func (f fake) Has(key string) (bool, error) {
	_, found := f.Values[key]
	return found, nil
}

func (f fake) Keys() ([]string, error) { return slices.Sorted(maps.Keys(f.Values)), nil }

func (f fake) Log(level uint8, message string) {
	names := []string{"trace", "debug", "info", "warn", "error"}
	f.Host.Log = append(f.Host.Log, Line{Level: names[level], Message: message})
}

func denied(message string) error { return &skillhost.HostError{Kind: "denied", Message: message} }
