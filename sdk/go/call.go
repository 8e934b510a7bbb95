package skillhost

import (
	"encoding/json"
	"maps"
	"time"

	types "skillhost/internal/bindings/skillhost_skill_types"
)

// Call is who calls, and what is known of the call.
type Call struct {
	// ID stays the same over all attempts of a call, its rounds and its replay: an idempotency key for services that you call.
	ID            string
	CorrelationID string
	// Attempt is 1 for the first.
	Attempt int
	// TimeLeft is what there was of it when the call began.
	TimeLeft time.Duration
	// Caller is "local" for a client on this machine.
	Caller string
	Client Client
	// Meta is the request's own _meta, an object, or nil.
	Meta json.RawMessage
	// Round is 1 until something was asked.
	Round int

	answers map[string]json.RawMessage
}

// Client is what the client can do.
type Client struct {
	Form, URL, Sampling, SamplingTools, Roots bool
	// Progress says that it listens to [Progress].
	Progress bool
}

func callOf(ctx types.Context) *Call {
	has := func(feature types.ClientFeatures) bool { return ctx.Client&feature != 0 }
	call := &Call{
		ID: ctx.CallId, CorrelationID: ctx.CorrelationId, Attempt: int(ctx.Attempt),
		TimeLeft: time.Duration(ctx.TimeLeftMs) * time.Millisecond, Caller: ctx.Caller, Meta: raw(ctx.Meta), Round: 1,
		Client: Client{
			Form: has(types.ClientFeaturesElicitationForm), URL: has(types.ClientFeaturesElicitationUrl),
			Sampling: has(types.ClientFeaturesSampling), SamplingTools: has(types.ClientFeaturesSamplingTools),
			Roots: has(types.ClientFeaturesRoots), Progress: has(types.ClientFeaturesProgress),
		},
		answers: map[string]json.RawMessage{},
	}
	if ctx.Round.IsSome() {
		round := ctx.Round.Some()
		call.Round = int(round.Number)
		var known map[string]json.RawMessage
		if json.Unmarshal(round.State.SomeOr(nil), &known) == nil {
			maps.Copy(call.answers, known)
		}
		for _, answer := range round.Answers {
			call.answers[answer.Key] = answered(answer.Value)
		}
	}
	return call
}

// answered is an answer as JSON, as it is remembered over rounds.
func answered(value types.AnswerValue) json.RawMessage {
	switch value.Tag() {
	case types.AnswerValueElicited:
		elicited := value.Elicited()
		action := []Action{Accept, Decline, Cancel}[elicited.Action]
		return json.RawMessage(text(Form{Action: action, Content: raw(elicited.Content)}))
	case types.AnswerValueSampled:
		return json.RawMessage(value.Sampled())
	default:
		roots := []Root{}
		for _, root := range value.Roots() {
			roots = append(roots, Root{URI: root.Uri, Name: root.Name.SomeOr("")})
		}
		return json.RawMessage(text(roots))
	}
}
