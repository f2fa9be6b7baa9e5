# PowerShell completion of @PROGRAMS@. Made by `asyncmq-cli --show-completion powershell`.
#
# The words go by the environment: Windows PowerShell drops empty arguments and damages quotes.

Register-ArgumentCompleter -Native -CommandName @LIST@ -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @()
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $words += $element.Value
        } else {
            $words += $element.Extent.Text
        }
    }
    $words += "$wordToComplete".Trim([char[]]"'`"")

    $program = $commandAst.GetCommandName()
    if (-not (Get-Command -Name "$program" -CommandType Application -ErrorAction Ignore)) { $program = 'asyncmq-cli' }
    $encoding = [Console]::OutputEncoding
    try {
        [Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false)
        $env:@WORDS@ = $words -join "`n"
        $replies = @(& $program __complete powershell 2>$null)
    } catch {
        return
    } finally {
        $env:@WORDS@ = $null
        [Console]::OutputEncoding = $encoding
    }
    if ($LASTEXITCODE -ne 0) { return }

    foreach ($reply in $replies) {
        $value, $about = $reply -split "`t", 2
        if (-not $value) { continue }
        $text = $value
        if ($text -notmatch '^[\w./:+-][\w./:+=-]*$') {
            $quoted = [System.Management.Automation.Language.CodeGeneration]::EscapeSingleQuotedStringContent($value)
            $text = "'" + $quoted + "'"
        }
        if (-not $about) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $about)
    }
}
