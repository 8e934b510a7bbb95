// Package export_skillhost_skill_tools is where the generated exports find what the component does.
package export_skillhost_skill_tools

import (
	types "skillhost/internal/bindings/skillhost_skill_types"
	wit "skillhost/internal/wit/types"
)

var (
	List func() []types.Tool
	Call func(ctx types.Context, name string, arguments wit.Option[string]) wit.Result[types.Outcome, types.Failure]
)
