exports.main = async ({ TriggerName, Time }) => ({ TriggerName, Time })
